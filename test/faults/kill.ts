// SIGKILL at random moments while clients push: everything that was acknowledged is there afterwards.
import { setTimeout as sleep } from 'node:timers/promises'
import { removeRegistry, restartRegistry, startRegistry } from '../processes/registry-server.ts'
import { emptyLedger } from './ledger.ts'
import { pushUntilGone } from './pushers.ts'
import { seededRandom } from './seeded-random.ts'
import { checkFolder, EVERYTHING, finishUploads, verifyAcknowledged } from './verify.ts'

const PUSHERS = 4
const KILL_AFTER_MS_MIN = 30
const KILL_AFTER_MS_MAX = 600
/** Beside what was pushed since the kill before, this many older ones are fetched and hashed after each. All are at the end. */
const OLDER_CHECKED = 20

export interface KillReport {
  readonly pushes: number
  readonly manifests: number
  readonly blobs: number
  readonly continued: number
  readonly faults: readonly string[]
}

export async function killRun(
  kills: number,
  seed: number,
  tell: (line: string) => void,
): Promise<KillReport> {
  const random = seededRandom(seed)
  const ledger = emptyLedger()
  const shared = random.bytes(50_000)
  const faults: string[] = []
  let continued = 0
  let server = await startRegistry('stowage')
  try {
    for (let kill = 1; kill <= kills && faults.length === 0; kill++) {
      const done = new AbortController()
      const before = { blobs: ledger.blobs.size, manifests: ledger.manifests.size }
      const pushing = Array.from({ length: PUSHERS }, (_, index) =>
        pushUntilGone({
          url: server.url,
          repository: `kill/r${index % 3}`,
          random: seededRandom(seed + kill * 101 + index),
          ledger,
          shared,
          signal: done.signal,
        }),
      )
      await sleep(KILL_AFTER_MS_MIN + random.below(KILL_AFTER_MS_MAX))
      await server.process.kill()
      done.abort()
      for (const result of await Promise.allSettled(pushing)) {
        if (result.status === 'rejected') faults.push(String(result.reason))
      }
      server = await restartRegistry(server)
      const finished = await finishUploads(server.url, ledger)
      continued += finished.continued
      const verdict = await verifyAcknowledged(server.url, ledger, {
        blobs: ledger.blobs.size - before.blobs + OLDER_CHECKED,
        manifests: ledger.manifests.size - before.manifests + OLDER_CHECKED,
      })
      faults.push(...finished.failed, ...verdict.lost, ...verdict.corrupt, ...verdict.dangling)
      if (kill % 10 === 0)
        tell(`${kill} kills, ${ledger.pushes} pushes acknowledged, ${faults.length} faults`)
    }
    const all = await verifyAcknowledged(server.url, ledger, EVERYTHING)
    faults.push(...all.lost, ...all.corrupt, ...all.dangling)
    await server.process.stop()
    faults.push(...checkFolder(`${server.folder}/data`))
  } finally {
    await removeRegistry(server)
  }
  const { pushes, manifests, blobs } = ledger
  return { pushes, manifests: manifests.size, blobs: blobs.size, continued, faults }
}
