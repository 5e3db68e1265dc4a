// A login by a provider of accounts: a person confirms a code in any browser, and the registry gives a key.
//
// The registry asks the provider for us: its secret stays there, and no token of the provider comes here.
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Session } from '#cli/session.ts'
import { pause } from '#client/pause.ts'
import type { RegistryClient, RegistryReply } from '#client/registry-client.ts'

const REPLY_BYTES_MAX = 64 * 1024
const SLOWER_SEC = 5
const INTERVAL_SEC_MAX = 60

interface Started {
  readonly device: string
  readonly userCode: string
  readonly verificationUri: string
  readonly verificationUriComplete?: string
  readonly intervalSec: number
  readonly expiresInSec: number
}

export interface GivenKey {
  readonly name: string
  readonly secret: string
}

/** @throws CommandFailure with what the registry said */
export async function deviceLogin(
  client: RegistryClient,
  provider: string | undefined,
  { say, signal }: Pick<Session, 'say' | 'signal'>,
): Promise<GivenKey> {
  const post = (path: string, body: unknown): Promise<RegistryReply> =>
    client.send({
      method: 'POST',
      path,
      scopes: [],
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify(body)),
      expect: [200, 202, 400, 401, 403, 404, 409, 429, 503],
      bodyBytesMax: REPLY_BYTES_MAX,
      signal,
    })
  const reply = await post('/auth/oidc/device', provider === undefined ? {} : { provider })
  if (reply.status !== 200) throw failure(reply, client.host)
  const started = read(reply) as unknown as Started
  say(`Open ${started.verificationUriComplete ?? started.verificationUri}`)
  say(`and confirm the code ${started.userCode}`)
  let intervalSec = Math.min(Math.max(started.intervalSec, 1), INTERVAL_SEC_MAX)
  const polls = Math.ceil(started.expiresInSec / intervalSec) + 1
  for (let n = 0; n < polls; n++) {
    await pause(intervalSec * 1_000, signal)
    const answer = await post('/auth/oidc/device/token', { device: started.device })
    const body = read(answer)
    if (answer.status === 200) return { name: String(body['name']), secret: String(body['secret']) }
    if (answer.status !== 202 && answer.status !== 429) throw failure(answer, client.host)
    if (body['slower'] === true || answer.status === 429)
      intervalSec = Math.min(intervalSec + SLOWER_SEC, INTERVAL_SEC_MAX)
  }
  throw new CommandFailure(EXIT.denied, 'nobody confirmed the code in time')
}

function read({ body }: RegistryReply): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(body.toString('utf8')) as Readonly<Record<string, unknown>>
  } catch {
    return {}
  }
}

function failure(reply: RegistryReply, host: string): CommandFailure {
  const { detail } = read(reply)
  if (typeof detail === 'string') return new CommandFailure(EXIT.denied, detail)
  return new CommandFailure(EXIT.denied, `${host} knows no login by a provider`)
}
