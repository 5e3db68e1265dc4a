// Uploads: in one request, in chunks, streamed; asked for, cancelled, and what goes wrong without harm to the session.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { digestOf } from '#oci/digest.ts'
import { type Answer, errorOf, locationOf, refusalOf, send } from './client.ts'
import { type Content, contentOf, expectStatus, openSession, pushBlob, randomContent } from './content.ts'
import { BUCKET, FOLDER, MEMORY } from './places.ts'
import type { TestServer } from './server.ts'

for (const place of [MEMORY, FOLDER, BUCKET])
  describe(`into ${place.name}`, { skip: place.skip }, () => {
    let server: TestServer
    let stop = async () => {}
    before(async () => {
      ;({ server, stop } = await place.start())
    })
    after(() => stop())

    const open = (query = '') => openSession(server, 'up', query)
    const close = (location: string, digest: string, body?: Buffer, headers = {}) =>
      send(server, 'PUT', `${location}?digest=${digest}`, { body, headers })
    const patch = (location: string, body: Buffer | Buffer[], headers: Record<string, string> = {}) =>
      send(server, 'PATCH', location, { body, headers })
    const rangeOf = async (location: string) => (await send(server, 'GET', location)).headers.range

    async function assertStored(created: Answer, content: Content): Promise<void> {
      assert.equal(created.status, 201, created.body.toString())
      assert.equal(created.headers['docker-content-digest'], content.digest)
      assert.equal(locationOf(created), `/v2/up/blobs/${content.digest}`)
      assert.equal(created.headers['content-length'], '0')
      const pulled = await send(server, 'GET', locationOf(created))
      assert.deepEqual([pulled.status, pulled.body.equals(content.bytes)], [200, true])
    }

    test('a session has a place, an id, an empty range, and no body', async () => {
      const answer = await send(server, 'POST', '/v2/up/blobs/uploads/')
      assert.equal(answer.status, 202)
      assert.match(locationOf(answer), /^\/v2\/up\/blobs\/uploads\/[a-zA-Z0-9-_.=]+$/)
      assert.ok(locationOf(answer).endsWith(String(answer.headers['docker-upload-uuid'])))
      assert.deepEqual([answer.headers.range, answer.headers['content-length']], ['0-0', '0'])
    })

    test('a blob goes up in one POST', async () => {
      const blob = randomContent(3_000)
      const answer = await send(server, 'POST', `/v2/up/blobs/uploads/?digest=${blob.digest}`, {
        body: blob.bytes,
      })
      await assertStored(answer, blob)
    })

    test('a POST without the slash at the end is the same', async () => {
      assert.equal((await send(server, 'POST', '/v2/up/blobs/uploads')).status, 202)
    })

    test('a blob goes up in POST and PUT', async () => {
      const blob = randomContent(3_000)
      await assertStored(await close(await open(), blob.digest, blob.bytes), blob)
    })

    test('a PUT in pieces without a length is the same', async () => {
      const blob = randomContent(3_000)
      const answer = await send(server, 'PUT', `${await open()}?digest=${blob.digest}`, {
        body: [blob.bytes.subarray(0, 1_000), blob.bytes.subarray(1_000)],
      })
      await assertStored(answer, blob)
    })

    test('a blob is streamed in one PATCH without a length', async () => {
      const blob = randomContent(3_000_000)
      const location = await open()
      const pieces = Array.from({ length: 30 }, (_, at) =>
        blob.bytes.subarray(at * 100_000, (at + 1) * 100_000),
      )
      const patched = await patch(location, pieces)
      assert.deepEqual([patched.status, patched.headers.range], [202, '0-2999999'])
      await assertStored(await close(locationOf(patched), blob.digest), blob)
    })

    test('several streamed PATCHes follow each other', async () => {
      const blob = randomContent(3_000)
      const location = await open()
      for (const start of [0, 1_000, 2_000])
        await patch(location, [blob.bytes.subarray(start, start + 1_000)])
      await assertStored(await close(location, blob.digest), blob)
    })

    for (const form of ['a-b', 'bytes a-b/total', 'bytes a-b/*'])
      test(`a blob goes up in chunks with Content-Range: ${form}, the last one in the PUT`, async () => {
        const blob = randomContent(2_500)
        const rangeFor = (start: number, end: number) => ({
          'Content-Range': form
            .replace('a', `${start}`)
            .replace('-b', `-${end - 1}`)
            .replace('total', '2500'),
          'Content-Type': 'application/octet-stream',
        })
        const location = await open()
        for (const start of [0, 1_000]) {
          const answer = await patch(
            location,
            blob.bytes.subarray(start, start + 1_000),
            rangeFor(start, start + 1_000),
          )
          assert.deepEqual([answer.status, answer.headers.range], [202, `0-${start + 999}`])
        }
        await assertStored(
          await close(location, blob.digest, blob.bytes.subarray(2_000), rangeFor(2_000, 2_500)),
          blob,
        )
      })

    test('the empty blob goes up in each way', async () => {
      const empty = contentOf('')
      await assertStored(await send(server, 'POST', `/v2/up/blobs/uploads/?digest=${empty.digest}`), empty)
      await assertStored(await close(await open(), empty.digest), empty)
      const location = await open()
      expectStatus(await patch(location, Buffer.alloc(0)), 202)
      await assertStored(await close(location, empty.digest), empty)
    })

    for (const [method, start] of [
      ['PATCH', 2_000],
      ['PATCH', 0],
      ['PUT', 2_000],
      ['PUT', 0],
    ] as const)
      test(`a ${method} that starts at ${start} instead of 1000 is 416, and the session is as before`, async () => {
        const blob = randomContent(2_000)
        const location = await open()
        expectStatus(await patch(location, blob.bytes.subarray(0, 1_000), { 'Content-Range': '0-999' }), 202)
        const wrong = { 'Content-Range': `${start}-${start + 999}` }
        const answer =
          method === 'PATCH'
            ? await patch(location, randomContent(1_000).bytes, wrong)
            : await close(location, blob.digest, randomContent(1_000).bytes, wrong)
        assert.equal(refusalOf(answer), '416 RANGE_INVALID')
        assert.deepEqual([answer.headers.range, errorOf(answer).detail], ['0-999', { offset: 1_000 }])
        const status = await send(server, 'GET', `${location}?digest=${blob.digest}`)
        assert.deepEqual(
          [status.status, status.headers.range, status.headers['content-length']],
          [204, '0-999', undefined],
        )
        assert.equal(locationOf(status), location)
        await assertStored(
          await close(location, blob.digest, blob.bytes.subarray(1_000), { 'Content-Range': '1000-1999' }),
          blob,
        )
      })

    test('a range and a length that contradict each other are refused, and the session is as before', async () => {
      const location = await open()
      const answer = await patch(location, Buffer.alloc(100), { 'Content-Range': '0-98' })
      assert.equal(refusalOf(answer), '400 SIZE_INVALID')
      assert.equal(await rangeOf(location), '0-0')
    })

    test('a stream that is longer than its range is refused', async () => {
      const location = await open()
      assert.equal(
        refusalOf(await patch(location, [Buffer.alloc(50), Buffer.alloc(60)], { 'Content-Range': '0-99' })),
        '400 SIZE_INVALID',
      )
    })

    const lies: readonly [how: string, upload: (blob: Content, wrong: string) => Promise<Answer>][] = [
      [
        'POST',
        (blob, wrong) => send(server, 'POST', `/v2/up/blobs/uploads/?digest=${wrong}`, { body: blob.bytes }),
      ],
      ['POST and PUT', async (blob, wrong) => close(await open(), wrong, blob.bytes)],
      [
        'a streamed PATCH and PUT',
        async (blob, wrong) => {
          const location = await open()
          await patch(location, [blob.bytes])
          return close(location, wrong)
        },
      ],
      [
        'chunks and a last chunk in the PUT',
        async (blob, wrong) => {
          const location = await open()
          await patch(location, blob.bytes.subarray(0, 100), { 'Content-Range': '0-99' })
          return close(location, wrong, blob.bytes.subarray(100), {
            'Content-Range': `100-${blob.bytes.length - 1}`,
          })
        },
      ],
    ]
    for (const [how, upload] of lies)
      for (const algorithm of ['sha256', 'sha512'] as const)
        test(`by ${how}, bytes that do not have the ${algorithm} that is claimed become no blob`, async () => {
          const blob = randomContent(300)
          const wrong = digestOf('wrong', algorithm)
          const answer = await upload(blob, wrong)
          assert.equal(refusalOf(answer), '400 DIGEST_INVALID')
          assert.deepEqual(errorOf(answer).detail, {
            claimed: wrong,
            actual: digestOf(blob.bytes, algorithm),
          })
          for (const digest of [wrong, blob.digest])
            assert.equal((await send(server, 'HEAD', `/v2/up/blobs/${digest}`)).status, 404)
        })

    test('?digest-algorithm=sha512 opens a session that ends in a sha512, and any session may', async () => {
      for (const query of ['?digest-algorithm=sha512', '?digest-algorithm=sha256', '']) {
        const blob = randomContent(5_000)
        const long = { bytes: blob.bytes, digest: digestOf(blob.bytes, 'sha512') }
        const location = await open(query)
        await patch(location, blob.bytes.subarray(0, 2_000))
        await patch(location, blob.bytes.subarray(2_000))
        await assertStored(await close(location, long.digest), long)
      }
    })

    test('a session that was cancelled, or whose PUT told a wrong digest, is unknown', async () => {
      const cancelled = await open()
      const answer = await send(server, 'DELETE', cancelled)
      assert.deepEqual(
        [answer.status, answer.body.length, answer.headers['content-length']],
        [204, 0, undefined],
      )
      const lied = await open()
      await close(lied, digestOf('wrong'), Buffer.from('x'))
      for (const location of [cancelled, lied])
        for (const method of ['GET', 'PATCH', 'DELETE'])
          assert.equal(refusalOf(await send(server, method, location)), '404 BLOB_UPLOAD_UNKNOWN')
    })

    test('a session that is finished cannot be replayed', async () => {
      const blob = randomContent(100)
      const location = await open()
      await assertStored(await close(location, blob.digest, blob.bytes), blob)
      const requests = [
        () => close(location, blob.digest, blob.bytes),
        () => close(location, blob.digest),
        () => patch(location, blob.bytes),
        () => send(server, 'GET', location),
        () => send(server, 'DELETE', location),
      ]
      for (const request of requests) assert.equal(refusalOf(await request()), '404 BLOB_UPLOAD_UNKNOWN')
      assert.deepEqual((await send(server, 'GET', `/v2/up/blobs/${blob.digest}`)).body, blob.bytes)
    })

    test('CVE-2026-32589: the session of another repository is unknown, and unharmed by who tries', async () => {
      const blob = randomContent(200)
      const location = await open()
      await patch(location, blob.bytes.subarray(0, 100))
      const elsewhere = location.replace('/v2/up/', '/v2/thief/')
      const requests = [
        () => send(server, 'GET', elsewhere),
        () => patch(elsewhere, Buffer.from('stolen')),
        () => close(elsewhere, digestOf(blob.bytes.subarray(0, 100))),
        () => send(server, 'DELETE', elsewhere),
      ]
      for (const request of requests) assert.equal(refusalOf(await request()), '404 BLOB_UPLOAD_UNKNOWN')
      await assertStored(await close(location, blob.digest, blob.bytes.subarray(100)), blob)
    })

    test('ids that nobody gave out are unknown, whatever they look like', async () => {
      for (const id of ['x', 'a'.repeat(500), '..', '%2e%2e', '..%2f..%2fetc', '%00', 'a%5cb', "';--"])
        for (const method of ['GET', 'PATCH', 'PUT', 'DELETE']) {
          const answer = await send(server, method, `/v2/up/blobs/uploads/${id}?digest=${digestOf('')}`)
          assert.ok(answer.status === 404 || answer.status === 400, `${method} ${id}: ${answer.status}`)
        }
    })

    test('a PUT without a digest, or with a malformed one, leaves the session', async () => {
      const blob = randomContent(50)
      const location = await open()
      for (const query of ['', '?digest=', '?digest=sha256:short', '?digest=md5:abc'])
        assert.equal(
          refusalOf(await send(server, 'PUT', location + query, { body: blob.bytes })),
          '400 DIGEST_INVALID',
        )
      assert.equal(await rangeOf(location), '0-0')
      await assertStored(await close(location, blob.digest, blob.bytes), blob)
    })

    describe('a mount', () => {
      const mount = (query: string, name = 'mounted') =>
        send(server, 'POST', `/v2/${name}/blobs/uploads/?${query}`)

      test('from a repository that has the blob is 201 at once', async () => {
        const blob = randomContent(500)
        await pushBlob(server, 'up', blob)
        const answer = await mount(`mount=${blob.digest}&from=up`)
        assert.deepEqual([answer.status, locationOf(answer)], [201, `/v2/mounted/blobs/${blob.digest}`])
        assert.deepEqual((await send(server, 'GET', locationOf(answer))).body, blob.bytes)
      })

      test('without a source takes the blob from wherever it is', async () => {
        const blob = randomContent(500)
        await pushBlob(server, 'up', blob)
        for (const query of [`mount=${blob.digest}`, `mount=${blob.digest}&from=`])
          assert.equal((await mount(query, 'anonymously')).status, 201)
      })

      test('of what is not there opens a session that takes it instead', async () => {
        const blob = randomContent(500)
        await pushBlob(server, 'up', blob)
        const unknown = randomContent(500)
        for (const [query, content] of [
          [`mount=${unknown.digest}&from=up`, unknown],
          [`mount=${unknown.digest}`, unknown],
          [`mount=${blob.digest}&from=nobody`, blob],
          [`mount=${blob.digest}&from=Not/A/Name`, blob],
          [`mount=${blob.digest}&from=../up`, blob],
        ] as const) {
          const answer = await mount(query, 'fallback')
          assert.equal(answer.status, 202, query)
          const done = await close(locationOf(answer), content.digest, content.bytes)
          assert.equal(done.status, 201)
          expectStatus(await send(server, 'DELETE', `/v2/fallback/blobs/${content.digest}`), 202)
        }
      })

      test('of a malformed digest is 400', async () => {
        assert.equal(refusalOf(await mount('mount=sha256:short&from=up')), '400 DIGEST_INVALID')
      })
    })
  })
