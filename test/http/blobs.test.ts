// Blobs: pulled whole and in part, deleted in one repository.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { digestOf } from '#oci/digest.ts'
import { OCTET_STREAM } from '#oci/media-types.ts'
import { errorOf, refusalOf, send } from './client.ts'
import { type Content, contentOf, expectStatus, pushBlob, randomContent } from './content.ts'
import { BUCKET, FOLDER, MEMORY } from './places.ts'
import type { TestServer } from './server.ts'

const KiB = 1024
/** Small ones are served from memory, large ones from an open file. */
const SIZES = [2 * KiB, 700 * KiB]

for (const place of [MEMORY, FOLDER, BUCKET])
  describe(`stored in ${place.name}`, { skip: place.skip }, () => {
    let server: TestServer
    let stop = async () => {}
    const blobs = new Map<number, Content>()
    before(async () => {
      ;({ server, stop } = await place.start())
      for (const size of SIZES) {
        const blob = randomContent(size)
        blobs.set(size, blob)
        await pushBlob(server, 'app', blob)
      }
    })
    after(() => stop())
    const blobOf = (size: number) => blobs.get(size) ?? randomContent(0)

    for (const size of SIZES)
      describe(`a blob of ${size} bytes`, () => {
        const get = (headers: Record<string, string> = {}, method = 'GET') =>
          send(server, method, `/v2/app/blobs/${blobOf(size).digest}`, { headers })

        test('GET and HEAD say the same of it, and GET its bytes', async () => {
          const { bytes, digest } = blobOf(size)
          for (const method of ['GET', 'HEAD']) {
            const answer = await get({}, method)
            assert.equal(answer.status, 200)
            assert.equal(answer.headers['content-type'], OCTET_STREAM)
            assert.equal(answer.headers['content-length'], String(size))
            assert.equal(answer.headers['docker-content-digest'], digest)
            assert.equal(answer.headers['accept-ranges'], 'bytes')
            assert.equal(answer.headers.etag, `"${digest}"`)
            assert.equal(answer.headers['cache-control'], 'max-age=31536000')
            assert.deepEqual(answer.body, method === 'GET' ? bytes : Buffer.alloc(0))
          }
        })

        const ranges: readonly [range: string, start: number, end: number][] = [
          ['bytes=500-1499', 500, 1500],
          ['bytes=500-', 500, size],
          ['bytes=-500', size - 500, size],
          ['bytes=0-0', 0, 1],
          [`bytes=${size - 1}-`, size - 1, size],
          [`bytes=${size - 48}-${size + 3000}`, size - 48, size],
          [`bytes=-${size * 2}`, 0, size],
          ['bytes=10-19,15-29', 10, 30],
        ]
        for (const [range, start, end] of ranges)
          test(`${range} is 206 with bytes ${start} to ${end}`, async () => {
            const answer = await get({ Range: range })
            assert.equal(answer.status, 206)
            assert.equal(answer.headers['content-range'], `bytes ${start}-${end - 1}/${size}`)
            assert.equal(answer.headers['content-length'], String(end - start))
            assert.deepEqual(answer.body, blobOf(size).bytes.subarray(start, end))
          })

        for (const range of ['bytes=500-0', `bytes=${size}-`, `bytes=${size * 2}-${size * 3}`, 'bytes=-0'])
          test(`${range} is 416 and says how long the blob is`, async () => {
            const answer = await get({ Range: range })
            assert.equal(refusalOf(answer), '416 RANGE_INVALID')
            assert.equal(answer.headers['content-range'], `bytes */${size}`)
            assert.match(errorOf(answer).message, new RegExp(String(size)))
          })

        for (const range of ['bytes=a-b', 'lines=1-2', 'bytes', 'bytes=1-2-3'])
          test(`"${range}" says nothing, and the whole is sent`, async () => {
            const answer = await get({ Range: range })
            assert.deepEqual([answer.status, answer.body.length], [200, size])
          })

        test('several ranges come as multipart/byteranges, each part with its own range, byte for byte', async () => {
          const { bytes } = blobOf(size)
          const answer = await get({ Range: `bytes=0-9,100-199,-20` })
          assert.equal(answer.status, 206)
          assert.equal(answer.headers['content-range'], undefined)
          const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(
            answer.headers['content-type'] ?? '',
          )?.[1]
          assert.ok(boundary)
          const part = (start: number, end: number) =>
            Buffer.concat([
              Buffer.from(
                `\r\n--${boundary}\r\nContent-Type: ${OCTET_STREAM}\r\nContent-Range: bytes ${start}-${end - 1}/${size}\r\n\r\n`,
              ),
              bytes.subarray(start, end),
            ])
          const expected = Buffer.concat([
            part(0, 10),
            part(100, 200),
            part(size - 20, size),
            Buffer.from(`\r\n--${boundary}--\r\n`),
          ])
          assert.equal(answer.headers['content-length'], String(expected.length))
          assert.deepEqual(answer.body, expected)
        })

        test('too many ranges are refused (CVE-2011-3192)', async () => {
          const many = Array.from({ length: 17 }, (_, index) => `${index * 10}-${index * 10 + 1}`).join()
          assert.equal((await get({ Range: `bytes=${many}` })).status, 416)
        })

        test('If-Range with the same tag gives the part, with another the whole', async () => {
          const { digest } = blobOf(size)
          assert.equal((await get({ Range: 'bytes=0-9', 'If-Range': `"${digest}"` })).status, 206)
          const other = await get({ Range: 'bytes=0-9', 'If-Range': `"${digestOf('other')}"` })
          assert.deepEqual([other.status, other.body.length], [200, size])
        })

        test('who has it is told so, also when asking for a part', async () => {
          const { digest } = blobOf(size)
          for (const headers of [{}, { Range: 'bytes=0-9' }])
            for (const method of ['GET', 'HEAD']) {
              const answer = await get({ ...headers, 'If-None-Match': `"${digest}"` }, method)
              assert.deepEqual(
                [answer.status, answer.body.length, answer.headers['content-length']],
                [304, 0, undefined],
              )
            }
        })

        test('a range of a HEAD is passed over, as RFC 9110 says', async () => {
          const answer = await get({ Range: 'bytes=0-9' }, 'HEAD')
          assert.deepEqual([answer.status, answer.headers['content-length']], [200, String(size)])
        })
      })

    test('the empty blob is pushed, pulled and sent whole, whatever part is asked for', async () => {
      const empty = contentOf('')
      await pushBlob(server, 'app', empty)
      for (const headers of [{}, { Range: 'bytes=0-' }]) {
        const answer = await send(server, 'GET', `/v2/app/blobs/${empty.digest}`, { headers })
        assert.deepEqual([answer.status, answer.headers['content-length'], answer.body.length], [200, '0', 0])
      }
    })

    test('a deleted blob is gone at once, and comes back when it is pushed again', async () => {
      const blob = randomContent(300)
      await pushBlob(server, 'gone', blob)
      expectStatus(await send(server, 'DELETE', `/v2/gone/blobs/${blob.digest}`), 202)
      for (const method of ['GET', 'HEAD'])
        assert.equal((await send(server, method, `/v2/gone/blobs/${blob.digest}`)).status, 404)
      assert.equal(
        refusalOf(await send(server, 'DELETE', `/v2/gone/blobs/${blob.digest}`)),
        '404 BLOB_UNKNOWN',
      )
      await pushBlob(server, 'gone', blob)
      assert.deepEqual((await send(server, 'GET', `/v2/gone/blobs/${blob.digest}`)).body, blob.bytes)
    })

    test('CVE-2026-35172: a blob that A deleted is gone in A in every way, and B still has it', async () => {
      const blob = randomContent(400 * KiB)
      for (const name of ['share/a', 'share/b']) await pushBlob(server, name, blob)
      // Both have served it, so every cache has seen it.
      for (const name of ['share/a', 'share/b'])
        expectStatus(await send(server, 'GET', `/v2/${name}/blobs/${blob.digest}`), 200)
      expectStatus(await send(server, 'DELETE', `/v2/share/a/blobs/${blob.digest}`), 202)
      for (const headers of [{}, { Range: 'bytes=0-9' }, { 'If-None-Match': `"${blob.digest}"` }])
        for (const method of ['GET', 'HEAD'])
          assert.equal(
            (await send(server, method, `/v2/share/a/blobs/${blob.digest}`, { headers })).status,
            404,
          )
      const mount = await send(server, 'POST', `/v2/share/c/blobs/uploads/?mount=${blob.digest}&from=share/a`)
      assert.equal(mount.status, 202)
      assert.equal((await send(server, 'HEAD', `/v2/share/c/blobs/${blob.digest}`)).status, 404)
      assert.deepEqual((await send(server, 'GET', `/v2/share/b/blobs/${blob.digest}`)).body, blob.bytes)
    })

    test('a manifest is no blob of its repository', async () => {
      const blob = contentOf('{"schemaVersion":2,"manifests":[]}')
      const put = await send(server, 'PUT', '/v2/app/manifests/index', {
        headers: { 'Content-Type': 'application/vnd.oci.image.index.v1+json' },
        body: blob.bytes,
      })
      expectStatus(put, 201)
      assert.equal((await send(server, 'HEAD', `/v2/app/blobs/${blob.digest}`)).status, 404)
    })
  })
