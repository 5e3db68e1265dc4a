// What an operator sends to the process while transfers are under way.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { begin, responseTo, send } from '../http/client.ts'
import { type Content, randomContent } from '../http/content.ts'
import type { Part } from './part.ts'
import { StoreUnderTest } from './store-under-test.ts'

const MiB = 1024 * 1024
const DRAIN_MS = 1_500
const END_MS_MAX = 5_000

function start(store: StoreUnderTest, { bytes, digest }: Content) {
  const upload = begin(store.target, 'POST', `/v2/app/blobs/uploads/?digest=${digest}`, {
    headers: { 'Content-Length': String(bytes.length) },
  })
  upload.write(bytes.subarray(0, bytes.length / 2))
  return { finish: () => upload.end(bytes.subarray(bytes.length / 2)), answer: responseTo(upload) }
}

async function isRefused(store: StoreUnderTest): Promise<void> {
  await assert.rejects(send(store.target, 'GET', '/v2/'), { code: 'ECONNREFUSED' })
}

async function termFinishesTransfers(say: (line: string) => void): Promise<void> {
  await using store = await StoreUnderTest.start()
  const content = randomContent(4 * MiB)
  const upload = start(store, content)
  await sleep(100)
  store.process.signal('SIGTERM')
  await sleep(300)
  assert.equal(store.process.hasEnded, false, 'it waits for the transfer')
  await isRefused(store)
  upload.finish()
  assert.equal((await upload.answer).statusCode, 201)
  store.blobs.push(content)
  const finished = performance.now()
  assert.equal(await store.process.untilEnds(5_000), 0)
  say(`  ended ${Math.round(performance.now() - finished)} ms after the last transfer`)
  store.isSound({ links: true })
  await store.restart()
  await store.servesAll()
}

async function termCutsAtTheDrainTime(say: (line: string) => void): Promise<void> {
  await using store = await StoreUnderTest.start({ http: { draintimeout: `${DRAIN_MS}ms` } })
  assert.equal((await store.pushImage('v1')).status, 201)
  const upload = start(store, randomContent(4 * MiB))
  upload.answer.catch(() => {})
  await sleep(100)
  store.process.signal('SIGTERM')
  const signalled = performance.now()
  assert.equal(await store.process.untilEnds(DRAIN_MS + END_MS_MAX), 0)
  const ms = Math.round(performance.now() - signalled)
  assert.ok(ms >= DRAIN_MS - 50, `transfers had ${ms} ms`)
  say(`  ended ${ms} ms after the signal, with a drain time of ${DRAIN_MS} ms`)
  store.isSound({ links: true })
  await store.restart()
  await store.servesAll()
}

async function secondTermEndsAtOnce(say: (line: string) => void): Promise<void> {
  await using store = await StoreUnderTest.start()
  assert.equal((await store.pushImage('v1')).status, 201)
  const upload = start(store, randomContent(4 * MiB))
  upload.answer.catch(() => {})
  await sleep(100)
  store.process.signal('SIGTERM')
  await sleep(200)
  assert.equal(store.process.hasEnded, false, 'it waits for the transfer')
  const signalled = performance.now()
  store.process.signal('SIGTERM')
  const end = await store.process.untilEnds(END_MS_MAX)
  assert.equal(end, 1, 'transfers were cut, and the exit code says so')
  say(`  ended ${Math.round(performance.now() - signalled)} ms after the second signal`)
  store.isSound({ links: false })
  await store.restart()
  await store.servesAll()
}

async function hangUpServesOn(): Promise<void> {
  await using store = await StoreUnderTest.start({
    config: { log: { level: 'info', accesslog: { disabled: true } } },
  })
  const content = randomContent(4 * MiB)
  const upload = start(store, content)
  await sleep(100)
  store.process.signal('SIGHUP')
  await untilSaid(store, 'certificates and users were read again')
  upload.finish()
  assert.equal((await upload.answer).statusCode, 201)
  store.blobs.push(content)
  assert.equal((await store.pushImage('v1')).status, 201)
  await store.servesAll()
  await store.stop()
}

async function untilSaid(store: StoreUnderTest, words: string): Promise<void> {
  for (let waited = 0; !store.process.output.includes(words); waited += 10) {
    assert.ok(waited < END_MS_MAX, `it never said "${words}":\n${store.process.output}`)
    await sleep(10)
  }
}

export const SIGNALS: readonly Part[] = [
  { name: 'SIGTERM while an upload is under way', run: termFinishesTransfers },
  { name: 'SIGTERM, and an upload that never ends', run: termCutsAtTheDrainTime },
  { name: 'a second SIGTERM', run: secondTermEndsAtOnce },
  { name: 'SIGHUP', run: hangUpServesOn },
]
