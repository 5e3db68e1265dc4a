// What a registry may do to a push: break, lose, limit, and send elsewhere.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { isClientError } from '#client/client-error.ts'
import { copy } from '#client/copy.ts'
import { MemoryPlace } from '#client/memory-place.ts'
import type { BlobContent } from '#client/place.ts'
import { RegistryClient } from '#client/registry-client.ts'
import { RegistryPlace } from '#client/registry-place.ts'
import { verified } from '#client/verify.ts'
import { sourceOf } from '#lib/byte-source.ts'
import { digestOf } from '#oci/digest.ts'
import { parseRepositoryName } from '#oci/reference.ts'
import { bodyOf, HostileRegistry, refuse, reply } from './hostile-registry.ts'
import { LATEST, LAYER, putImage, putReferrer } from './made-images.ts'

const MiB = 1024 * 1024
const RETRY = { attemptsMax: 4, delayMinMs: 1, delayMaxMs: 4, retryAfterMaxMs: 60_000 }

let hostile: HostileRegistry
let other: HostileRegistry
let client: RegistryClient
let place: RegistryPlace

beforeEach(async () => {
  hostile = await HostileRegistry.start()
  other = await HostileRegistry.start()
  client = new RegistryClient({
    host: hostile.host,
    plainHttp: true,
    retry: RETRY,
    credentials: { kind: 'password', username: 'me', password: 'my-very-secret' },
  })
  place = new RegistryPlace({ client, repository: parseRepositoryName('app'), push: true })
})

afterEach(async () => {
  await client.close()
  await hostile.stop()
  await other.stop()
})

/** A blob that is given in pieces, so that a connection can break between them. */
function madeBlob(size: number) {
  const bytes = randomBytes(size)
  const descriptor = { mediaType: LAYER, digest: digestOf(bytes), size }
  const pieces = (from: number) => {
    const list: Uint8Array[] = []
    for (let at = from; at < size; at += 128 * 1024)
      list.push(bytes.subarray(at, Math.min(size, at + 128 * 1024)))
    return sourceOf(...list)
  }
  const opened: number[] = []
  const content: BlobContent = {
    whole: () => {
      opened.push(0)
      return verified(descriptor, pieces(0), 'the test')
    },
    from: (start) => {
      opened.push(start)
      return pieces(start)
    },
  }
  return { bytes, descriptor, content, opened }
}

describe('an upload', () => {
  test('that breaks goes on from the offset that the registry reports', async () => {
    const { bytes, descriptor, content, opened } = madeBlob(12 * MiB)
    let broke = false
    hostile.mischief = async (request) => {
      if (request.method !== 'PATCH' || broke) return false
      broke = true
      const upload = hostile.uploads.get('1')
      assert.ok(upload)
      const chunks: Buffer[] = []
      let taken = 0
      for await (const chunk of request) {
        chunks.push((chunk as Buffer).subarray(0, 5 * MiB - taken))
        taken += chunks.at(-1)?.byteLength ?? 0
        if (taken === 5 * MiB) break
      }
      upload.bytes = Buffer.concat(chunks)
      request.socket.destroy()
      return true
    }
    assert.equal(await place.pushBlob(descriptor, content), 'copied')
    assert.deepEqual(hostile.blobs.get(descriptor.digest), bytes)
    assert.deepEqual(opened, [0, 5 * MiB])
    const resumed = hostile.asks('PATCH', /uploads/)[1]
    assert.equal(resumed?.headers['content-range'], `${5 * MiB}-${12 * MiB - 1}`)
  })

  test('that the registry lost is begun anew', async () => {
    const { bytes, descriptor, content } = madeBlob(6 * MiB)
    let lost = false
    hostile.mischief = async (request) => {
      if (request.method !== 'PATCH' || lost) return false
      lost = true
      hostile.uploads.clear()
      request.socket.destroy()
      return true
    }
    assert.equal(await place.pushBlob(descriptor, content), 'copied')
    assert.deepEqual(hostile.blobs.get(descriptor.digest), bytes)
    assert.equal(hostile.asks('POST', /uploads/).length, 2)
  })

  test('that never gets on ends in an error and is cancelled', async () => {
    const { descriptor, content } = madeBlob(6 * MiB)
    hostile.mischief = (request) => {
      if (request.method === 'PATCH') request.socket.destroy()
      return request.method === 'PATCH'
    }
    await assert.rejects(place.pushBlob(descriptor, content), { kind: 'unreachable' })
    assert.equal(hostile.uploads.size, 0)
    assert.ok(hostile.asks('DELETE', /uploads/).length >= 1)
    assert.ok(hostile.asks('PATCH', /uploads/).length <= 2 * RETRY.attemptsMax)
  })

  test('whose source is corrupt is cancelled, and the registry never gets the whole of it', async () => {
    const { descriptor } = madeBlob(6 * MiB)
    const pieces = Array.from({ length: 6 }, () => randomBytes(MiB))
    const content: BlobContent = {
      whole: () => verified(descriptor, sourceOf(...pieces), 'the source'),
      from: () => assert.fail('what is wrong is not sent again'),
    }
    await assert.rejects(place.pushBlob(descriptor, content), {
      kind: 'corrupt',
      message: /^the source sent content/,
    })
    assert.equal(hostile.blobs.size, 0)
    assert.equal(hostile.uploads.size, 0)
    assert.equal(hostile.asks('PATCH', /uploads/).length, 1)
  })

  test('is cut into chunks where a proxy refuses large bodies, none but the last below OCI-Chunk-Min-Length', async () => {
    hostile.chunkBytesMin = 36 * MiB
    const { bytes, descriptor, content } = madeBlob(80 * MiB)
    const sizes: number[] = []
    hostile.mischief = (request, response) => {
      if (request.method !== 'PATCH') return false
      const size = Number(request.headers['content-length'])
      if (size <= 64 * MiB) {
        sizes.push(size)
        return false
      }
      refuse(response, 413, 'SIZE_INVALID')
      return true
    }
    assert.equal(await place.pushBlob(descriptor, content), 'copied')
    assert.deepEqual(sizes, [36 * MiB, 36 * MiB, 8 * MiB])
    assert.ok(hostile.blobs.get(descriptor.digest)?.equals(bytes))
  })

  test('that the registry sends to another host gets no credentials there', async () => {
    const { descriptor, content } = madeBlob(6 * MiB)
    hostile.mischief = (request, response) => {
      if (request.method !== 'POST') return false
      if (request.headers.authorization === undefined) {
        response.setHeader('www-authenticate', 'Basic realm="here"')
        refuse(response, 401, 'UNAUTHORIZED')
        return true
      }
      other.uploads.set('7', { bytes: Buffer.alloc(0) })
      reply(response, 202, { location: `${other.url}/v2/app/blobs/uploads/7?token=one-time` })
      return true
    }
    assert.equal(await place.pushBlob(descriptor, content), 'copied')
    assert.ok(other.blobs.has(descriptor.digest))
    assert.ok(other.asked.length >= 2)
    assert.deepEqual(
      other.asked.filter(({ headers }) => headers.authorization !== undefined),
      [],
    )
  })
})

describe('a small blob', () => {
  test('goes in the PUT that closes its upload, and is sent once', async () => {
    for (const size of [1000, 0]) {
      const { descriptor, content } = madeBlob(size)
      await place.pushBlob(descriptor, content)
      assert.ok(hostile.blobs.has(descriptor.digest))
    }
    assert.deepEqual(
      hostile.asked.map(({ method, headers }) => `${method} ${headers['content-length']}`),
      ['POST 0', 'PUT 1000', 'POST 0', 'PUT 0'],
    )
  })

  test('a mount that is not possible becomes an upload in the session that was opened', async () => {
    const { descriptor, content } = madeBlob(1000)
    const outcome = await place.pushBlob(descriptor, content, { mountFrom: parseRepositoryName('elsewhere') })
    assert.equal(outcome, 'copied')
    assert.deepEqual(
      hostile.asked.map(({ method }) => method),
      ['POST', 'PUT'],
    )
    assert.match(hostile.asked[0]?.path ?? '', /mount=sha256%3A[0-9a-f]{64}&from=elsewhere/)
  })
})

describe('a manifest', () => {
  test('is sent after everything it needs, and a failed blob means that it is not sent', async () => {
    const memory = new MemoryPlace()
    await putImage(memory, [1000, 2000], LATEST)
    await copy(memory, place, { reference: { tag: LATEST }, tags: [LATEST] })
    const last = hostile.asked.at(-1)
    assert.match(`${last?.method} ${last?.path}`, /^PUT \/v2\/app\/manifests\/latest$/)

    const second = new MemoryPlace()
    await putImage(second, [1000, 7 * MiB], LATEST)
    const before = hostile.asks('PUT', /manifests/).length
    hostile.mischief = (request, response) => {
      if (request.method !== 'PATCH') return false
      refuse(response, 403, 'DENIED', 'the quota is used up')
      return true
    }
    await assert.rejects(copy(second, place, { reference: { tag: LATEST }, tags: [LATEST] }), (error) => {
      assert.ok(isClientError(error, 'denied'))
      assert.match(error.message, /PATCH http.*uploads\/\d+\?….*403 DENIED: the quota is used up/)
      assert.doesNotMatch(error.message, /very-secret-state/)
      return true
    })
    assert.equal(hostile.asks('PUT', /manifests/).length, before)
  })

  test('and all it needs gets to a registry whose replies only the pool reads, and back', async () => {
    hostile.mischief = (_, response) => {
      // Apache offers another protocol so.
      response.setHeader('upgrade', 'h2c')
      return false
    }
    const memory = new MemoryPlace()
    const { descriptor } = await putImage(memory, [1000, 7 * MiB], LATEST)
    await copy(memory, place, { reference: { tag: LATEST }, tags: [LATEST] })
    const { root, copied } = await copy(place, new MemoryPlace(), { reference: { tag: LATEST } })
    assert.equal(root.digest, descriptor.digest)
    assert.equal(copied.blobs, 3)
  })

  test('with a subject is listed under the fallback tag where the registry does not keep referrers', async () => {
    const memory = new MemoryPlace()
    const image = await putImage(memory, [100], LATEST)
    const one = await putReferrer(memory, image.descriptor)
    const two = await putReferrer(memory, image.descriptor, 'application/example.signature')
    await copy(memory, place, { reference: { tag: LATEST }, tags: [LATEST], referrers: true })
    const tag = image.descriptor.digest.replace(':', '-')
    const index = JSON.parse(hostile.manifests.get(tag)?.bytes.toString() ?? '{}')
    assert.deepEqual(
      index.manifests.map((entry: { digest: string }) => entry.digest).sort(),
      [one.descriptor.digest, two.descriptor.digest].sort(),
    )
    assert.equal((await place.referrers(image.descriptor.digest)).length, 2)
  })

  test('that the registry stored as something else is an error', async () => {
    const memory = new MemoryPlace()
    await putImage(memory, [100], LATEST)
    hostile.mischief = async (request, response) => {
      if (request.method !== 'PUT' || !request.url?.includes('/manifests/')) return false
      await bodyOf(request)
      reply(response, 201, { 'docker-content-digest': digestOf('something else') })
      return true
    }
    await assert.rejects(copy(memory, place, { reference: { tag: LATEST }, tags: [LATEST] }), {
      kind: 'corrupt',
    })
  })
})
