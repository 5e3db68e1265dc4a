// A disk that fails to keep what was written: nothing is acknowledged after it, also when the next sync would succeed.
import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { type Answer, errorOf, json, send } from '../../http/client.ts'
import { randomContent } from '../../http/content.ts'
import type { Part } from '../part.ts'
import { StoreUnderTest } from '../store-under-test.ts'
import { failSyncs, requireStrace } from './strace.ts'

const MiB = 1024 * 1024
const DETACH_MS_MAX = 10_000
const LOG_MS_MAX = 5_000

function isRefused(answer: Answer): void {
  assert.equal(answer.status, 503, `${answer.status} ${answer.body}`)
  const { code, message } = errorOf(answer)
  assert.equal(code, 'UNAVAILABLE')
  assert.match(message, /writes are refused until the server is restarted/)
}

/** What the server said may come through its pipe after its answers came through their sockets. */
async function untilLogged(store: StoreUnderTest, pattern: RegExp): Promise<void> {
  const deadline = performance.now() + LOG_MS_MAX
  while (!pattern.test(store.process.output) && performance.now() < deadline) await wait(20)
  assert.match(store.process.output, pattern)
}

async function factsAreNotKept(say: (line: string) => void): Promise<void> {
  requireStrace()
  await using store = await StoreUnderTest.start()
  assert.equal((await store.pushImage('v1')).status, 201)
  const disturbance = await failSyncs(store.process.pid, `${store.root}/stowage/registry.sqlite-wal`)
  try {
    const answers = await Promise.all([1, 2, 3, 4].map(() => store.pushBlob(randomContent(2_000))))
    for (const answer of answers) isRefused(answer)
  } finally {
    disturbance.signal('SIGTERM')
    await disturbance.untilEnds(DETACH_MS_MAX)
  }
  // The disk works again, and says that all is well. It must not be believed.
  isRefused(await store.pushBlob(randomContent(2_000)))
  isRefused(await store.pushImage('v2'))
  isRefused(await send(store.target, 'DELETE', '/v2/app/manifests/v1'))
  const ready = await store.get('/readyz')
  assert.equal(ready.status, 503)
  assert.match(String((json(ready) as { database?: string }).database), /writes are refused/)
  await store.servesAll()
  await untilLogged(store, /the disk failed to keep what the database wrote: writes are refused/)
  say('  writes are refused and reads go on, also when the disk works again')
  await store.process.kill()
  store.isSound({ links: false })
  await store.restart()
  await store.servesAll()
  assert.equal((await store.pushImage('v2')).status, 201)
  await store.stop()
  store.isSound({ links: true })
  say('  after a restart all that was acknowledged is there, and pushes are taken')
}

async function bytesAreNotKept(say: (line: string) => void): Promise<void> {
  requireStrace()
  await using store = await StoreUnderTest.start()
  const content = randomContent(2 * MiB)
  const disturbance = await failSyncs(store.process.pid)
  try {
    for (const how of ['whole', 'session'] as const) {
      const { status } = await store.pushBlob(content, how)
      assert.ok(status >= 500, `a blob that the disk did not keep was answered ${status}`)
    }
  } finally {
    disturbance.signal('SIGTERM')
    await disturbance.untilEnds(DETACH_MS_MAX)
  }
  assert.equal((await store.get(`/v2/app/blobs/${content.digest}`)).status, 404)
  store.isSound({ links: false })
  assert.equal((await store.pushBlob(content)).status, 201)
  await store.servesAll()
  say('  the blob is refused and forgotten; sent again, it is taken')
}

export const FAILING_SYNCS: readonly Part[] = [
  { name: 'a sync of the facts that fails', run: factsAreNotKept },
  { name: 'a sync of a blob that fails', run: bytesAreNotKept },
]
