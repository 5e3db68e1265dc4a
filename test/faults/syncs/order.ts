// Evidence of invariant 3, from the system calls of the server: before a push is acknowledged its bytes are synced, then
// named, then the folders are synced, then the facts are written and synced; and no sync is made by the event loop.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { encodedOf } from '#oci/digest.ts'
import { send } from '../../http/client.ts'
import { type Content, expectStatus, makeImage, putManifest, randomContent } from '../../http/content.ts'
import type { Part } from '../part.ts'
import { StoreUnderTest } from '../store-under-test.ts'
import { type Call, callsIn, requireStrace } from './strace.ts'

const KiB = 1024
const TRACE_MS_MAX = 10_000
/** What follows a push in the background, which writes to the log too, is over by then. */
const QUIET_MS = 250
const CALLS =
  'openat,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fdatasync,fsync,rename,renameat,renameat2'

/** A push that was acknowledged, and the calls between the acknowledgement before it and its own. */
interface Acknowledged {
  readonly what: string
  readonly content: Content
  readonly calls: readonly Call[]
  readonly acknowledgement: Call
}

function isWrite({ name }: Call): boolean {
  return /^p?write/.test(name)
}

/** The file or folder that the first argument, a descriptor, stands for. */
function pathOf({ args }: Call): string {
  return /^\d+<([^>]*)>/.exec(args)?.[1] ?? ''
}

function answers(call: Call, status: number): boolean {
  return /^(write|writev|sendto|sendmsg)$/.test(call.name) && call.args.includes(`HTTP/1.1 ${status}`)
}

function isSync({ name }: Call): boolean {
  return name === 'fdatasync' || name === 'fsync'
}

function only(calls: readonly Call[], what: string): Call {
  const [call] = calls
  assert.ok(call && calls.length === 1, `${calls.length} times ${what}`)
  return call
}

/** The last write of the log that was synced before the answer. */
function syncedFacts(what: string, calls: readonly Call[], { began }: Call): Call {
  const isLog = (call: Call) => pathOf(call).endsWith('/registry.sqlite-wal')
  const commit = calls.findLast((call) => isSync(call) && isLog(call) && call.ended < began)
  assert.ok(commit, `${what}: the facts are synced before the answer`)
  const facts = calls.findLast((call) => isWrite(call) && isLog(call) && call.ended < commit.began)
  assert.ok(facts, `${what}: the facts are written before their sync`)
  return facts
}

function checkOrder({ what, content, calls, acknowledgement }: Acknowledged): void {
  const hex = encodedOf(content.digest)
  const folder = `/blobs/sha256/${hex.slice(0, 2)}/${hex}`
  const rename = only(
    calls.filter(({ name, args }) => name.startsWith('rename') && args.includes(`${folder}/data`)),
    `${what} was named`,
  )
  const upload = /"([^"]+\/stowage\/uploads\/[^"]+)"/.exec(rename.args)?.[1] ?? ''
  assert.notEqual(upload, '', `${what} was an upload: ${rename.args}`)
  const writes = calls.filter((call) => isWrite(call) && pathOf(call) === upload)
  assert.ok(writes.length > 0, `${what} was written`)
  const synchronous = calls.some(
    ({ name, args }) => name === 'openat' && args.includes(`"${upload}"`) && args.includes('O_DSYNC'),
  )
  for (const write of writes) {
    assert.ok(write.ended < rename.began, `${what}: bytes before the name`)
    const synced = calls.some(
      (call) =>
        isSync(call) && pathOf(call) === upload && call.began > write.ended && call.ended < rename.began,
    )
    assert.ok(synchronous || synced, `${what}: every write is synced before the name`)
  }
  const facts = syncedFacts(what, calls, acknowledgement)
  assert.ok(facts.began > rename.ended, `${what}: the facts are written after the name`)
  for (const synced of [folder, folder.slice(0, folder.lastIndexOf('/'))]) {
    const sync = calls.find(
      (call) => call.name === 'fsync' && pathOf(call).endsWith(synced) && call.began > rename.ended,
    )
    assert.ok(sync && sync.ended < facts.began, `${what}: the folder ${synced} is synced before the facts`)
  }
}

async function whole(path: string): Promise<string> {
  for (let waited = 0; waited < TRACE_MS_MAX; waited += 50) {
    const trace = readFileSync(path, 'utf8')
    if (/\+\+\+ exited with 0 \+\+\+\n$/.test(trace)) return trace
    await sleep(50)
  }
  throw new Error('the trace never ended')
}

async function syncsBeforeAcknowledging(say: (line: string) => void): Promise<void> {
  const strace = requireStrace()
  const folder = mkdtempSync(join(tmpdir(), 'trace-'))
  const file = join(folder, 'trace')
  try {
    // -D: strace is the child, so that the server keeps the id that we know, and its signals.
    const under = [strace, '-D', '-f', '-q', '-y', '-s', '64', '-e', `trace=${CALLS}`, '-o', file]
    await using store = await StoreUnderTest.start({ under })
    const pushes: { what: string; content: Content }[] = []
    const push = async (what: string, size: number, how: 'whole' | 'session') => {
      const content = randomContent(size)
      assert.equal((await store.pushBlob(content, how)).status, 201)
      await sleep(QUIET_MS)
      pushes.push({ what, content })
      return content
    }
    const layers = [
      await push('a small blob in one request', 5 * KiB, 'whole'),
      await push('a large blob in one request', 3000 * KiB, 'whole'),
      await push('a small blob in a session', 5 * KiB, 'session'),
      await push('a large blob in a session', 3000 * KiB, 'session'),
    ]
    const image = makeImage(layers)
    assert.equal((await store.pushBlob(image.config)).status, 201)
    pushes.push({ what: 'a config', content: image.config })
    assert.equal((await putManifest(store.target, 'app', 'v1', image.manifest.bytes)).status, 201)
    pushes.push({ what: 'a manifest', content: image.manifest })
    const deletes = ['manifests/v1', `manifests/${image.manifest.digest}`, `blobs/${image.config.digest}`]
    for (const path of deletes) {
      expectStatus(await send(store.target, 'DELETE', `/v2/app/${path}`), 202)
      await sleep(QUIET_MS)
    }
    const loop = store.process.pid
    await store.stop()
    const calls = callsIn(await whole(file))
    const acknowledgements = calls.filter((call) => answers(call, 201))
    assert.equal(acknowledgements.length, pushes.length)
    let before = calls.find(({ args }) => args.includes('HTTP/1.1 200'))?.began ?? 0
    const start = before
    for (const [index, { what, content }] of pushes.entries()) {
      const acknowledgement = acknowledgements[index]
      assert.ok(acknowledgement)
      const between = calls.filter(({ began }) => began > before && began < acknowledgement.began)
      checkOrder({ what, content, calls: between, acknowledgement })
      before = acknowledgement.began
    }
    const deleted = calls.filter((call) => answers(call, 202) && call.began > before)
    assert.equal(deleted.length, deletes.length)
    for (const [index, acknowledgement] of deleted.entries()) {
      const between = calls.filter(({ began }) => began > before && began < acknowledgement.began)
      syncedFacts(`the delete of ${deletes[index]}`, between, acknowledgement)
      before = acknowledgement.began
    }
    const onLoop = calls.filter(
      (call) => isSync(call) && call.thread === loop && call.began > start && call.began < before,
    )
    assert.deepEqual(onLoop.map(pathOf), [], 'the event loop waits for no sync')
    say(
      `  ${pushes.length} pushes: data, name, folders, facts, 201, in this order; ${deletes.length} deletes: facts, 202; no sync on the event loop`,
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export const SYNC_ORDER: Part = { name: 'syncs come before the answer', run: syncsBeforeAcknowledging }
