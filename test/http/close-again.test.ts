// A close whose answer never came is sent again: it ends in the blob, or in a 404 after which clients begin the blob anew.
// Never in a refusal of honest bytes, and never in other bytes.
import assert from 'node:assert/strict'
import { mkdir, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { blobPath, uploadPath } from '#blobs/layout.ts'
import { digestOf } from '#oci/digest.ts'
import { isOnPostgres } from '../processes/test-database.ts'
import { refusalOf, send } from './client.ts'
import { type Content, openSession, randomContent } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const SIZE = 100_000

let server: TestServer
before(async () => {
  server = await startServer({ onDisk: true })
})
after(() => server[Symbol.asyncDispose]())

/** A session that has all its bytes; where it is, and where its bytes lie. */
async function sentUpload({ bytes }: Content): Promise<{ location: string; file: string }> {
  const location = await openSession(server, 'again')
  const patched = await send(server, 'PATCH', location, { body: bytes })
  assert.equal(patched.status, 202, patched.body.toString())
  const id = new URL(location, 'http://registry').pathname.split('/').at(-1) ?? ''
  return { location, file: join(server.root, uploadPath(id)) }
}

/** What a crash between the name of the bytes and their facts leaves. */
async function named(file: string, { digest }: Content): Promise<void> {
  const path = join(server.root, blobPath(digest))
  await mkdir(dirname(path), { recursive: true })
  await rename(file, path)
}

const close = (location: string, digest: string) => send(server, 'PUT', `${location}?digest=${digest}`)

async function isServed({ bytes }: Content, digest: string): Promise<void> {
  const pulled = await send(server, 'GET', `/v2/again/blobs/${digest}`)
  assert.equal(pulled.status, 200, pulled.body.toString())
  assert.ok(pulled.body.equals(bytes))
}

async function isGone(location: string, { digest }: Content): Promise<void> {
  assert.equal(refusalOf(await close(location, digest)), '404 BLOB_UPLOAD_UNKNOWN')
  assert.equal(refusalOf(await send(server, 'GET', location)), '404 BLOB_UPLOAD_UNKNOWN')
}

describe('a close that is sent again', () => {
  test('after it was recorded finds no session, and the blob is there', async () => {
    const content = randomContent(SIZE)
    const { location } = await sentUpload(content)
    assert.equal((await close(location, content.digest)).status, 201)
    await isGone(location, content)
    await server.restart()
    await isGone(location, content)
    await isServed(content, content.digest)
  })

  for (const algorithm of ['sha256', 'sha512'] as const) {
    test(`after a crash between the bytes and the facts is made up for, with a ${algorithm}`, async () => {
      const content = randomContent(SIZE)
      const digest = digestOf(content.bytes, algorithm)
      const { location, file } = await sentUpload(content)
      await server.stop()
      await named(file, content)
      await server.start()
      assert.equal(refusalOf(await send(server, 'GET', `/v2/again/blobs/${digest}`)), '404 BLOB_UNKNOWN')
      const again = await close(location, digest)
      assert.equal(again.status, 201, again.body.toString())
      await isServed(content, digest)
      await isGone(location, content)
    })

    test(`after a crash before anything was done is done, with a ${algorithm}`, async () => {
      const content = randomContent(SIZE)
      const digest = digestOf(content.bytes, algorithm)
      const { location } = await sentUpload(content)
      await server.restart()
      const again = await close(location, digest)
      assert.equal(again.status, 201, again.body.toString())
      await isServed(content, digest)
    })
  }

  test('after a transaction that failed is made up for by the same process', async () => {
    const content = randomContent(SIZE)
    const { location } = await sentUpload(content)
    const { db } = server.app.registry
    const transaction = db.transaction
    db.transaction = () => Promise.reject(new Error('the disk is gone'))
    try {
      assert.equal(refusalOf(await close(location, content.digest)), '500 UNKNOWN')
    } finally {
      db.transaction = transaction
    }
    const again = await close(location, content.digest)
    assert.equal(again.status, 201, again.body.toString())
    await isServed(content, content.digest)
  })

  test('with a last chunk, after a crash between the bytes and the facts, has the client begin anew', async () => {
    const content = randomContent(SIZE)
    const location = await openSession(server, 'again')
    await send(server, 'PATCH', location, { body: content.bytes.subarray(0, 60_000) })
    const id = location.split('/').at(-1) ?? ''
    await server.stop()
    const file = join(server.root, uploadPath(id))
    await writeFile(file, content.bytes)
    await named(file, content)
    await server.start()
    const again = await send(server, 'PUT', `${location}?digest=${content.digest}`, {
      body: content.bytes.subarray(60_000),
    })
    assert.equal(refusalOf(again), '404 BLOB_UPLOAD_UNKNOWN')
    await isGone(location, content)
  })
})

const SEEN_BY_BOOT = 'where processes share the facts, a loss of power is told by the boot of the system'

describe('bytes that a loss of power took', { skip: isOnPostgres() && SEEN_BY_BOOT }, () => {
  const losses: readonly [string, (file: string) => Promise<void>][] = [
    ['all', (file) => rm(file)],
    ['the last', (file) => truncate(file, SIZE / 2)],
    ['what they were', (file) => writeFile(file, Buffer.alloc(SIZE))],
  ]
  for (const [what, lose] of losses) {
    test(`${what}: the client begins anew, and nothing false is kept`, async () => {
      const content = randomContent(SIZE)
      const { location, file } = await sentUpload(content)
      await server.stop()
      await lose(file)
      await server.start()
      assert.equal(refusalOf(await close(location, content.digest)), '404 BLOB_UPLOAD_UNKNOWN')
      await isGone(location, content)
      const head = await send(server, 'HEAD', `/v2/again/blobs/${content.digest}`)
      assert.equal(head.status, 404)
    })
  }
})

describe('after a crash between the bytes and the facts', () => {
  test('a digest that the client never sent is refused, though the store has it', async () => {
    const [sent, secret] = [randomContent(SIZE), randomContent(SIZE)]
    const push = `/v2/private/blobs/uploads/?digest=${secret.digest}`
    assert.equal((await send(server, 'POST', push, { body: secret.bytes })).status, 201)
    const { location, file } = await sentUpload(sent)
    await server.stop()
    await named(file, sent)
    await server.start()
    assert.equal(refusalOf(await close(location, secret.digest)), '400 DIGEST_INVALID')
    const head = await send(server, 'HEAD', `/v2/again/blobs/${secret.digest}`)
    assert.equal(head.status, 404)
  })

  test('bytes of that name that are broken are not taken', async () => {
    const content = randomContent(SIZE)
    const { location, file } = await sentUpload(content)
    await server.stop()
    await writeFile(file, Buffer.alloc(SIZE))
    await named(file, content)
    await server.start()
    assert.equal(refusalOf(await close(location, content.digest)), '404 BLOB_UPLOAD_UNKNOWN')
    assert.equal((await send(server, 'HEAD', `/v2/again/blobs/${content.digest}`)).status, 404)
  })
})
