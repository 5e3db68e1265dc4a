// What a hostile or broken registry does to a pull: a clear error, no partial file, no secret in what is said.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ClientError, isClientError } from '#client/client-error.ts'
import { copy } from '#client/copy.ts'
import { LayoutPlace } from '#client/layout-place.ts'
import { MemoryPlace } from '#client/memory-place.ts'
import { RegistryClient, type RegistryClientOptions } from '#client/registry-client.ts'
import { RegistryPlace } from '#client/registry-place.ts'
import { systemWaiting } from '#client/retry.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import { OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { parseRepositoryName } from '#oci/reference.ts'
import { breakAfter, HostileRegistry, refuse, reply } from './hostile-registry.ts'
import { LATEST, LAYER } from './made-images.ts'

const KiB = 1024
const LAYER_BYTES = 600 * KiB
const RETRY = { attemptsMax: 3, delayMinMs: 1, delayMaxMs: 4, retryAfterMaxMs: 60_000 }

let hostile: HostileRegistry
let client: RegistryClient
let folder = ''
let layerBytes: Buffer
let layer: Descriptor

function clientWith(options: Partial<RegistryClientOptions> = {}): RegistryClient {
  return new RegistryClient({ host: hostile.host, plainHttp: true, retry: RETRY, ...options })
}

function place(by = client): RegistryPlace {
  return new RegistryPlace({ client: by, repository: parseRepositoryName('app') })
}

beforeEach(async () => {
  hostile = await HostileRegistry.start()
  client = clientWith()
  folder = await mkdtemp(join(tmpdir(), 'hostile-pull-'))
  layerBytes = randomBytes(LAYER_BYTES)
  layer = { mediaType: LAYER, digest: digestOf(layerBytes), size: LAYER_BYTES }
  hostile.blobs.set(layer.digest, layerBytes)
  const config = Buffer.from('{"os":"linux","architecture":"amd64"}')
  hostile.blobs.set(digestOf(config), config)
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(config),
      size: config.byteLength,
    },
    layers: [layer],
  }
  hostile.putManifest(Buffer.from(JSON.stringify(manifest)), OCI_MANIFEST, 'latest')
})

afterEach(async () => {
  await client.close()
  await hostile.stop()
  await rm(folder, { recursive: true, force: true })
})

const isLayer = (url = '') => url.endsWith(layer.digest)

async function pull(by = client): Promise<void> {
  await copy(place(by), new LayoutPlace(folder), { reference: { tag: LATEST }, tags: [LATEST] })
}

/** Pulls, expects a failure, and that nothing of the layer is left. */
async function failedPull(by = client): Promise<ClientError> {
  const error = await pull(by).then(
    () => assert.fail('the pull succeeded'),
    (reason: unknown) => reason,
  )
  assert.ok(isClientError(error), String(error))
  const files = await readdir(folder, { recursive: true })
  const suspicious = files.filter(
    (name) => name.includes(layer.digest.slice(7)) || /\.(part|lock|tmp)$/.test(name),
  )
  assert.deepEqual(suspicious, [])
  assert.equal(await new LayoutPlace(folder).resolve({ tag: LATEST }), undefined)
  return error
}

describe('a body that is not what was announced', () => {
  test('other content of the right size is corrupt, and not asked for again', async () => {
    hostile.blobs.set(layer.digest, randomBytes(LAYER_BYTES))
    const error = await failedPull()
    assert.equal(error.kind, 'corrupt')
    assert.match(error.message, new RegExp(`content with the digest sha256:[0-9a-f]{64} for ${layer.digest}`))
    assert.equal(hostile.asks('GET', /blobs/).filter(({ path }) => isLayer(path)).length, 1)
  })

  test('a connection that always breaks early ends in an error after a few tries', async () => {
    hostile.mischief = (request, response) => {
      if (!isLayer(request.url)) return false
      breakAfter(response, LAYER_BYTES, layerBytes.subarray(0, 1000))
      return true
    }
    assert.equal((await failedPull()).kind, 'unreachable')
    assert.equal(hostile.asks('GET', /blobs/).filter(({ path }) => isLayer(path)).length, RETRY.attemptsMax)
  })

  test('a short body that ends in good order is corrupt', async () => {
    hostile.mischief = (request, response) => {
      if (!isLayer(request.url)) return false
      response.writeHead(200, { 'transfer-encoding': 'chunked' })
      response.end(layerBytes.subarray(0, 5000))
      return true
    }
    const error = await failedPull()
    assert.equal(error.kind, 'corrupt')
    assert.match(error.message, /after 5000 of 614400 bytes/)
  })

  test('an endless body is cut where the blob should have ended', async () => {
    let sent = 0
    hostile.mischief = (request, response) => {
      if (!isLayer(request.url)) return false
      response.writeHead(200, { 'transfer-encoding': 'chunked' })
      const more = () => {
        while (!response.destroyed && response.write(layerBytes)) sent += LAYER_BYTES
        sent += LAYER_BYTES
      }
      response.on('drain', more)
      more()
      return true
    }
    const error = await failedPull()
    assert.equal(error.kind, 'corrupt')
    assert.match(error.message, /more than the 614400 bytes announced/)
    assert.ok(sent < 64 * 1024 * KiB, `${sent} bytes were taken`)
  })

  for (const [name, bytes] of [
    ['longer', LAYER_BYTES + 1],
    ['shorter', LAYER_BYTES - 1],
  ] as const) {
    test(`a Content-Length that is ${name} than the blob is refused before the body is read`, async () => {
      hostile.mischief = (request, response) => {
        if (!isLayer(request.url)) return false
        response.writeHead(200, { 'content-length': bytes })
        response.flushHeaders()
        return true
      }
      const error = await failedPull()
      assert.equal(error.kind, 'corrupt')
      assert.match(error.message, new RegExp(`announced ${bytes} bytes instead of ${LAYER_BYTES}`))
    })
  }

  test('bytes behind the announced length do not become part of the next reply', async () => {
    hostile.mischief = (request, response) => {
      if (!isLayer(request.url)) return false
      response.socket?.write(`HTTP/1.1 200 OK\r\ncontent-length: ${LAYER_BYTES}\r\n\r\n`)
      response.socket?.write(layerBytes)
      response.socket?.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil')
      return true
    }
    await pull()
    assert.equal((await place().manifest({ tag: LATEST }))?.descriptor.mediaType, OCI_MANIFEST)
  })
})

describe('a manifest', () => {
  test('of 100 MB is refused before it is read', async () => {
    let taken = 0
    hostile.mischief = (request, response) => {
      if (!request.url?.includes('/manifests/')) return false
      response.writeHead(200, { 'content-type': OCI_MANIFEST, 'content-length': 100_000_000 })
      const piece = Buffer.alloc(64 * KiB, ' ')
      const more = () => {
        while (!response.destroyed && taken < 100_000_000 && response.write(piece)) taken += piece.byteLength
      }
      response.on('drain', more)
      more()
      return true
    }
    assert.equal((await failedPull()).kind, 'limit')
    assert.ok(taken < 20_000_000, `${taken} bytes were taken`)
  })

  test('of no announced length is cut at the limit', async () => {
    hostile.mischief = (request, response) => {
      if (!request.url?.includes('/manifests/')) return false
      response.writeHead(200, { 'content-type': OCI_MANIFEST })
      const piece = Buffer.alloc(1024 * KiB, ' ')
      const more = () => {
        while (!response.destroyed && response.write(piece)) {
          // The next one follows at once.
        }
      }
      response.on('drain', more)
      more()
      return true
    }
    assert.equal((await failedPull()).kind, 'limit')
  })

  test('distribution CVE-2026-85747: that lies about its digest is corrupt, and nothing of it is kept', async () => {
    hostile.mischief = (request, response) => {
      if (!request.url?.includes('/manifests/')) return false
      reply(
        response,
        200,
        { 'content-type': OCI_MANIFEST, 'docker-content-digest': digestOf('other') },
        hostile.manifests.get('latest')?.bytes ?? '',
      )
      return true
    }
    assert.equal((await failedPull()).kind, 'corrupt')
  })

  test('an index that refers to itself is corrupt, for no content can name its own digest', async () => {
    const self = digestOf('a guess')
    const index = {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [{ mediaType: OCI_INDEX, digest: self, size: 0 }],
    }
    let bytes = Buffer.from(JSON.stringify(index))
    index.manifests = [{ mediaType: OCI_INDEX, digest: self, size: bytes.byteLength + 2 }]
    bytes = Buffer.from(JSON.stringify(index))
    hostile.manifests.set('latest', { mediaType: OCI_INDEX, bytes })
    hostile.manifests.set(self, { mediaType: OCI_INDEX, bytes })
    assert.equal((await failedPull()).kind, 'corrupt')
    assert.ok(hostile.asked.length < 10)
  })

  test('indexes nested without end are refused', async () => {
    let child = hostile.putManifest(Buffer.from('{"schemaVersion":2,"manifests":[]}'), OCI_INDEX, 'leaf')
    for (let depth = 0; depth < 30; depth++) {
      const size = hostile.manifests.get(child)?.bytes.byteLength
      const manifests = [{ mediaType: OCI_INDEX, digest: child, size }]
      const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }))
      child = hostile.putManifest(bytes, OCI_INDEX, 'latest')
    }
    assert.equal((await failedPull()).kind, 'limit')
  })

  test('that is an image and an index at once is refused', async () => {
    const both = { schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [], manifests: [] }
    hostile.putManifest(Buffer.from(JSON.stringify(both)), OCI_MANIFEST, 'latest')
    const error = await failedPull()
    assert.equal(error.kind, 'invalid')
    assert.match(error.message, /both an image and an index/)
  })

  test('that names a blob by something that is no digest is refused before anything is asked for', async () => {
    const layers = [{ mediaType: LAYER, digest: 'sha256:../../../etc/passwd', size: 3 }]
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, layers }))
    hostile.putManifest(bytes, OCI_MANIFEST, 'latest')
    assert.equal((await failedPull()).kind, 'invalid')
    assert.equal(hostile.asks('GET', /blobs/).length, 0)
  })
})

test('containerd CVE-2020-15157: where a layer says that it also lies is not asked, with credentials or without', async () => {
  const elsewhere = await HostileRegistry.start()
  try {
    const config = [...hostile.blobs.keys()].find((digest) => digest !== layer.digest) ?? ''
    const manifest = {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest: config,
        size: hostile.blobs.get(config)?.length,
      },
      layers: [{ ...layer, urls: [`${elsewhere.url}/${layer.digest}`] }],
    }
    hostile.putManifest(Buffer.from(JSON.stringify(manifest)), OCI_MANIFEST, 'latest')
    elsewhere.blobs.set(layer.digest, layerBytes)
    hostile.blobs.delete(layer.digest)
    await failedPull()
    hostile.blobs.set(layer.digest, layerBytes)
    await pull()
    assert.deepEqual(elsewhere.asked, [])
  } finally {
    await elsewhere.stop()
  }
})

describe('a broken download', () => {
  test('goes on with a Range from the byte where it broke', async () => {
    let broke = 0
    hostile.mischief = (request, response) => {
      if (!isLayer(request.url) || request.headers.range !== undefined) return false
      broke += 1
      breakAfter(response, LAYER_BYTES, layerBytes.subarray(0, 300 * KiB))
      return true
    }
    await pull()
    const asked = hostile.asks('GET', /blobs/).filter(({ path }) => isLayer(path))
    assert.equal(broke, 1)
    assert.equal(asked.length, 2)
    const from = Number(/^bytes=(\d+)-$/.exec(asked[1]?.headers.range ?? '')?.[1])
    assert.ok(from > 0 && from <= 300 * KiB, `went on from ${from}`)
  })

  test('is right also where the registry knows no ranges and begins again', async () => {
    hostile.ranges = false
    let broke = false
    hostile.mischief = (request, response) => {
      if (!isLayer(request.url) || broke) return false
      broke = true
      breakAfter(response, LAYER_BYTES, layerBytes.subarray(0, 300 * KiB))
      return true
    }
    await pull()
    const memory = new MemoryPlace()
    await copy(new LayoutPlace(folder), memory, { reference: { tag: LATEST } })
  })

  test('a range that begins elsewhere than asked is corrupt', async () => {
    hostile.mischief = (request, response) => {
      if (!isLayer(request.url)) return false
      if (request.headers.range === undefined) breakAfter(response, LAYER_BYTES, layerBytes.subarray(0, 1000))
      else {
        const part = layerBytes.subarray(7)
        reply(response, 206, { 'content-range': `bytes 7-${LAYER_BYTES - 1}/${LAYER_BYTES}` }, part)
      }
      return true
    }
    assert.equal((await failedPull()).kind, 'corrupt')
  })
})

describe('time', () => {
  test('a registry that asks for patience is given it, and then answers', async () => {
    const slept: number[] = []
    const waiting = {
      ...systemWaiting,
      sleep: async (ms: number) => {
        slept.push(ms)
      },
    }
    let refusals = 0
    hostile.mischief = (request, response) => {
      if (!isLayer(request.url) || refusals >= 2) return false
      refusals += 1
      response.setHeader('retry-after', '7')
      refuse(response, 429, 'TOOMANYREQUESTS')
      return true
    }
    const patient = clientWith({ waiting })
    await pull(patient)
    await patient.close()
    assert.equal(slept.length, 2)
    assert.ok(
      slept.every((ms) => ms >= 7000 && ms < 9000),
      String(slept),
    )
  })

  test('a Retry-After beyond all patience is an error that says so at once', async () => {
    hostile.mischief = (request, response) => {
      if (!isLayer(request.url)) return false
      response.setHeader('retry-after', '86400')
      refuse(response, 429, 'TOOMANYREQUESTS', 'come back tomorrow')
      return true
    }
    const error = await failedPull()
    assert.equal(error.kind, 'rate-limited')
    assert.equal(error.code, 'TOOMANYREQUESTS')
    assert.equal(error.retryAfterMs, 86_400_000)
    assert.match(error.message, /come back tomorrow/)
  })

  test('a stalled transfer is cut, and one that is only slow is not', async () => {
    const impatient = clientWith({ transport: { stallTimeoutMs: 250 }, retry: { ...RETRY, attemptsMax: 1 } })
    hostile.mischief = async (request, response) => {
      if (!isLayer(request.url)) return false
      response.writeHead(200, { 'content-length': LAYER_BYTES })
      for (let at = 0; at < LAYER_BYTES; at += 100 * KiB) {
        response.write(layerBytes.subarray(at, at + 100 * KiB))
        await sleep(100)
      }
      response.end()
      return true
    }
    await pull(impatient)
    await rm(folder, { recursive: true, force: true })

    hostile.mischief = (request, response) => {
      if (!isLayer(request.url)) return false
      response.writeHead(200, { 'content-length': LAYER_BYTES })
      response.write(layerBytes.subarray(0, 1000))
      return true
    }
    const error = await failedPull(impatient)
    await impatient.close()
    assert.equal(error.kind, 'timeout')
    assert.match(error.message, /sent nothing more for 250 ms/)
  })

  test('a registry that takes a request and never answers is given up', async () => {
    const impatient = clientWith({ transport: { replyTimeoutMs: 150 }, retry: { ...RETRY, attemptsMax: 1 } })
    hostile.mischief = () => true
    const error = await failedPull(impatient)
    await impatient.close()
    assert.match(error.message, /did not answer for 150 ms/)
    assert.match(error.message, /GET http:\/\/127\.0\.0\.1:\d+\/v2\/app\/manifests\/latest/)
  })
})
