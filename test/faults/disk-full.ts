// The disk is full: writes are refused with a clear answer, reads go on, nothing is torn, and all is well when space returns.
import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { RESERVE_BYTES } from '#db/reserve.ts'
import { type Answer, errorOf, locationOf, send } from '../http/client.ts'
import { expectStatus, putManifest, randomContent } from '../http/content.ts'
import type { Part } from './part.ts'
import { SmallDisk } from './small-disk.ts'
import { StoreUnderTest } from './store-under-test.ts'

const KiB = 1024
const MiB = 1024 * KiB
const RECOVERY_MS_MAX = 5_000
/** So many refusals in a row: what could be freed has been freed. */
const REFUSALS_IN_A_ROW = 6
const PUSHES_MAX = 5_000
/** What a session may add to the log of the database. */
const FACTS_BYTES_MAX = 64 * KiB

function isRefusedForSpace(answer: Answer): void {
  assert.equal(answer.status, 507, `${answer.status} ${answer.body}`)
  const { code, message } = errorOf(answer)
  assert.equal(code, 'UNAVAILABLE')
  assert.match(message, /no space left/)
  assert.match(String(answer.headers['content-type']), /application\/json/)
  assert.ok(Number(answer.headers['retry-after']) > 0, 'it says when to try again')
}

/** Pushes until nothing more is taken; returns how many were refused on the way. */
async function pushUntilRefused(push: (count: number) => Promise<Answer>): Promise<number> {
  let refusals = 0
  let inARow = 0
  for (let count = 0; inARow < REFUSALS_IN_A_ROW; count++) {
    assert.ok(count < PUSHES_MAX, 'the disk is never full')
    const answer = await push(count)
    if (answer.status === 201) {
      inARow = 0
      continue
    }
    isRefusedForSpace(answer)
    refusals += 1
    inARow += 1
    // A refusal has the database fold its log, which takes a moment.
    await sleep(30)
  }
  return refusals
}

async function untilAccepted(push: () => Promise<Answer>): Promise<number> {
  const start = performance.now()
  for (;;) {
    const answer = await push()
    if (answer.status === 201) return Math.round(performance.now() - start)
    isRefusedForSpace(answer)
    assert.ok(performance.now() - start < RECOVERY_MS_MAX, 'space returned, and the service did not')
    await sleep(50)
  }
}

async function readsGoOn(store: StoreUnderTest): Promise<void> {
  await store.servesAll()
  assert.equal((await store.get('/v2/')).status, 200)
  assert.equal((await store.get('/v2/app/tags/list')).status, 200)
  assert.equal((await store.get('/v2/_catalog')).status, 200)
}

async function blobsFillTheDisk(say: (line: string) => void): Promise<void> {
  using disk = SmallDisk.mount('24m')
  const freeSpace = disk.fill(4 * MiB)
  await using store = await StoreUnderTest.start({ parent: disk.folder })
  assert.equal((await store.pushImage('first')).status, 201)
  for (const how of ['whole', 'session'] as const) {
    const before = disk.freeBytes
    isRefusedForSpace(await store.pushBlob(randomContent(26 * MiB), how))
    const kept = before - disk.freeBytes
    assert.ok(kept < FACTS_BYTES_MAX, `${kept} bytes of a blob that did not fit (${how}) stayed`)
  }
  // Large ones first, in both ways, then small ones into the gaps.
  await pushUntilRefused((count) =>
    store.pushBlob(randomContent(700 * KiB), count % 2 === 0 ? 'whole' : 'session'),
  )
  const large = store.blobs.length
  await pushUntilRefused((count) =>
    store.pushBlob(randomContent(8 * KiB), count % 2 === 0 ? 'whole' : 'session'),
  )
  say(`  full after ${large} large and ${store.blobs.length - large} small blobs`)
  await readsGoOn(store)
  expectStatus(await send(store.target, 'DELETE', '/v2/app/manifests/first'), 202)
  store.isSound({ links: false })
  freeSpace()
  const ms = await untilAccepted(() => store.pushImage('second'))
  say(`  pushes are taken ${ms} ms after space returned, without a restart`)
  await readsGoOn(store)
  await store.stop()
  store.isSound({ links: true })
  await store.restart()
  await readsGoOn(store)
}

async function factsFillTheDisk(say: (line: string) => void): Promise<void> {
  using disk = SmallDisk.mount('3m')
  const freeSpace = disk.fill(1 * MiB)
  const database = `${disk.folder}/registry.sqlite`
  await using store = await StoreUnderTest.start({ config: { database: { path: database } } })
  const refusals = await pushUntilRefused((count) => store.pushImage(`t${count}`))
  say(`  full after ${store.manifests.length} images (${refusals} refusals), with space left for blobs`)
  await readsGoOn(store)
  store.isSound({ links: false, database })
  freeSpace()
  const ms = await untilAccepted(() => store.pushImage('after'))
  say(`  pushes are taken ${ms} ms after space returned, without a restart`)
  await readsGoOn(store)
  await store.stop()
  store.isSound({ links: true, database })
}

async function fullWhenItEnds(say: (line: string) => void): Promise<void> {
  using disk = SmallDisk.mount('24m')
  await using store = await StoreUnderTest.start({ parent: disk.folder })
  assert.equal((await store.pushImage('first')).status, 201)
  const freeReserve = disk.fill()
  await store.process.kill()
  store.isSound({ links: false })
  await store.restart()
  await readsGoOn(store)
  isRefusedForSpace(await store.pushImage('refused'))
  expectStatus(await send(store.target, 'DELETE', '/v2/app/manifests/first'), 202)
  say('  a start on a full disk gives up the reserve, and takes deletes')
  const freeSpace = disk.fill()
  await store.process.kill()
  await assert.rejects(store.restart(), (error: Error) => {
    assert.match(error.message, /stowage: no space is left on the disk of .+: free some, then start again\n$/)
    return true
  })
  say('  a start on a full disk without a reserve says so, and ends')
  freeReserve()
  freeSpace()
  await store.restart()
  assert.equal((await store.pushImage('second')).status, 201)
  await readsGoOn(store)
  disk.fill()
  await store.stop()
  store.isSound({ links: false })
  say('  a stop on a full disk is a clean one')
}

/** The link files follow the facts, which takes a moment. */
async function untilTagFolders(store: StoreUnderTest, count: number): Promise<void> {
  const folder = `${store.root}/docker/registry/v2/repositories/app/_manifests/tags`
  const start = performance.now()
  while (readdirSync(folder).length !== count) {
    assert.ok(performance.now() - start < RECOVERY_MS_MAX, `${readdirSync(folder).length} tags, not ${count}`)
    await sleep(50)
  }
}

/** How many tags one image has: each is deleted on the full disk. */
const TAGS = 300

/** Every kind of delete is taken where not one block is left, and pushes do not take what the reserve gave. */
async function deletesOnAFullDisk(say: (line: string) => void): Promise<void> {
  using disk = SmallDisk.mount('40m')
  const config = { log: { level: 'info', accesslog: { disabled: true } } }
  await using store = await StoreUnderTest.start({ parent: disk.folder, config })
  const reserve = `${store.root}/stowage/registry.sqlite-reserve`
  assert.equal(statSync(reserve).size, RESERVE_BYTES)
  assert.ok(statSync(reserve).blocks * 512 >= RESERVE_BYTES, 'it takes the space that it keeps')
  for (const tag of ['kept', 'by-digest', 'by-tag']) expectStatus(await store.pushImage(tag), 201)
  const [kept, byDigest] = store.manifests
  assert.ok(kept && byDigest)
  for (let count = 0; count < TAGS; count++) {
    expectStatus(await putManifest(store.target, 'app', `t${count}`, kept.bytes), 201)
  }
  const blob = randomContent(300 * KiB)
  expectStatus(await store.pushBlob(blob), 201)
  const upload = await send(store.target, 'POST', '/v2/app/blobs/uploads/')
  const sent = await send(store.target, 'PATCH', locationOf(upload), { body: randomContent(MiB).bytes })
  const other = await send(store.target, 'POST', '/v2/app/blobs/uploads/')
  await untilTagFolders(store, TAGS + 3)
  const freeSpace = disk.fill()
  assert.equal(disk.freeBytes, 0)

  isRefusedForSpace(await store.pushBlob(randomContent(100)))
  assert.equal(statSync(reserve).size, RESERVE_BYTES, 'a push does not touch the reserve')
  const deletes = [`manifests/${byDigest.digest}`, 'manifests/by-tag', `blobs/${blob.digest}`]
  for (const path of deletes) expectStatus(await send(store.target, 'DELETE', `/v2/app/${path}`), 202)
  assert.equal(statSync(reserve).size, 0, 'the reserve was given up')
  const before = disk.freeBytes
  expectStatus(await send(store.target, 'DELETE', locationOf(sent)), 204)
  const freed = disk.freeBytes - before
  assert.ok(freed > MiB - FACTS_BYTES_MAX, `a cancelled upload of 1 MiB freed ${freed} bytes`)
  say(`  ${disk.freeBytes} bytes are free after a delete of each kind`)

  const patched = await send(store.target, 'PATCH', locationOf(other), { body: randomContent(MiB).bytes })
  isRefusedForSpace(patched)
  isRefusedForSpace(await store.pushBlob(randomContent(100)))
  isRefusedForSpace(await putManifest(store.target, 'app', 'again', kept.bytes))
  for (let count = 0; count < TAGS / 2; count++) {
    expectStatus(await send(store.target, 'DELETE', `/v2/app/manifests/t${count}`), 202)
  }
  await untilTagFolders(store, TAGS / 2 + 1)
  assert.match(store.process.output, /the reserve is given up to deletes/)
  await store.process.kill()
  store.blobs.splice(store.blobs.indexOf(blob), 1)
  store.manifests.splice(1, 1)
  store.isSound({ links: true })
  await store.restart()
  isRefusedForSpace(await store.pushBlob(randomContent(100)))
  for (let count = TAGS / 2; count < TAGS; count++) {
    expectStatus(await send(store.target, 'DELETE', `/v2/app/manifests/t${count}`), 202)
  }
  assert.equal((await store.get('/readyz')).status, 200, 'who is not ready gets no deletes')
  say(`  ${TAGS} tags more are deleted, also after a kill; pushes are refused meanwhile`)
  await readsGoOn(store)

  freeSpace()
  const ms = await untilAccepted(() => store.pushImage('after'))
  assert.equal(statSync(reserve).size, RESERVE_BYTES, 'the reserve is made again')
  assert.match(store.process.output, /space is back: the reserve is made again/)
  say(`  pushes are taken ${ms} ms after space returned, and the reserve is there again`)
  await readsGoOn(store)
  await store.stop()
  store.isSound({ links: true })
}

export const DISK_FULL: readonly Part[] = [
  { name: 'blobs fill the disk', run: blobsFillTheDisk },
  { name: 'facts fill the disk', run: factsFillTheDisk },
  { name: 'deletes on a full disk', run: deletesOnAFullDisk },
  { name: 'a disk that is full at start and stop', run: fullWhenItEnds },
]
