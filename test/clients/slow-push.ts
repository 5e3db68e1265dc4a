// A push that outlives its token: on a slow line, to a server whose tokens are good for a minute and not a second longer.
import { setTimeout as wait } from 'node:timers/promises'
import type { AccountCommands } from './accounts.ts'
import { LARGEST_LAYER_BYTES } from './images.ts'
import type { Scenario, Stand } from './scenario.ts'

/** The shortest that the server issues: clients take less for a minute. */
export const TOKEN_LIFE_MS = 60_000
/** For the largest layer. */
const PUSH_MS = 72_000
/** Of a connection, towards the server. */
export const LINE_BYTES_PER_SECOND = Math.round((LARGEST_LAYER_BYTES * 1_000) / PUSH_MS)

export function slowPushScenario({ program, prepare, push }: AccountCommands): Scenario {
  return {
    name: 'slow-push',
    does: 'a push goes on to its end though its token expires in the middle (tokens of a minute, a slow line)',
    servers: ['slow line'],
    async run(stand) {
      await prepare?.(stand, stand.repository)
      await stand.ok(program, push(stand, stand.repository))
      await stand.digest()
      const lasted = await pushedMs(stand)
      if (lasted <= TOKEN_LIFE_MS)
        throw new Error(
          `the push lasted ${lasted} ms: the token that it began with was still good at its end`,
        )
    },
  }
}

/** The last line of a push may come to the log a moment after its reply came to the client. */
const LOG_MS_MAX = 5_000
const LOG_POLL_MS = 100

/** From the first upload of the repository to its manifest, as the server logged them. */
async function pushedMs(stand: Stand): Promise<number> {
  const deadline = performance.now() + LOG_MS_MAX
  while (performance.now() < deadline) {
    const log = await stand.serverLog()
    const [began, ended] = [timeOf(log, stand, 'upload.open', 202), timeOf(log, stand, 'manifest.put', 201)]
    if (began !== undefined && ended !== undefined) return ended - began
    await wait(LOG_POLL_MS)
  }
  throw new Error('the server logged no push from its first upload to its manifest')
}

function timeOf(log: string, { repository }: Stand, operation: string, status: number): number | undefined {
  const line = log
    .split('\n')
    .find((one) =>
      [`operation=${operation} `, `repository=${repository} `, ` status=${status} `].every((part) =>
        one.includes(part),
      ),
    )
  const time = /^time="([^"]+)"/.exec(line ?? '')?.[1]
  return time === undefined ? undefined : Date.parse(time)
}
