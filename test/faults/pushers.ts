// Clients that push, re-tag and delete until the server goes away, and write down what it acknowledged.
import { digestOf } from '#oci/digest.ts'
import { OCI_CONFIG, OCI_MANIFEST } from '#oci/media-types.ts'
import { type Acknowledged, tagAcknowledged, tagUnderWay } from './ledger.ts'
import type { Random } from './seeded-random.ts'

const LAYER = 'application/vnd.oci.image.layer.v1.tar'
const BLOB_BYTES_MAX = 200_000
const TAGS = 4
const REQUEST_MS_MAX = 20_000

export interface Pusher {
  readonly url: string
  readonly repository: string
  readonly random: Random
  readonly ledger: Acknowledged
  /** Bytes that every pusher pushes, so that blobs are shared. */
  readonly shared: Buffer
  readonly signal: AbortSignal
}

/** Pushes images one after another; resolves when the server is gone or the signal is aborted. */
export async function pushUntilGone(pusher: Pusher): Promise<void> {
  try {
    while (!pusher.signal.aborted) await pushImage(pusher)
  } catch (error) {
    // A server that was killed looks like this; what it said wrong is thrown as Unexpected.
    if (error instanceof Unexpected) throw error
  }
}

/** The server answered, and the answer is wrong. */
export class Unexpected extends Error {
  override readonly name = 'Unexpected'
}

async function request(
  pusher: Pusher,
  method: string,
  path: string,
  body?: Buffer,
  headers = {},
): Promise<Response> {
  const response = await fetch(new URL(path, pusher.url), {
    method,
    headers,
    ...(body !== undefined && { body: new Uint8Array(body) }),
    signal: AbortSignal.timeout(REQUEST_MS_MAX),
  })
  if (response.status >= 500)
    throw new Unexpected(`${method} ${path}: ${response.status} ${await response.text()}`)
  await response.arrayBuffer()
  return response
}

function expect(response: Response, status: number, what: string): void {
  if (response.status !== status) throw new Unexpected(`${what}: ${response.status}, not ${status}`)
}

async function pushImage(pusher: Pusher): Promise<void> {
  const { random, repository, ledger } = pusher
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', n: random.below(2 ** 31) }))
  const layer = random.bytes(1 + random.below(BLOB_BYTES_MAX))
  const blobs = [config, layer, pusher.shared]
  for (const bytes of blobs) await pushBlob(pusher, bytes)
  const [configAt, ...layersAt] = blobs.map((bytes, index) => ({
    mediaType: index === 0 ? OCI_CONFIG : LAYER,
    digest: digestOf(bytes),
    size: bytes.length,
  }))
  const manifest = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config: configAt, layers: layersAt }),
  )
  const digest = digestOf(manifest)
  const tag = `t${random.below(TAGS)}`
  tagUnderWay(ledger, repository, tag, digest)
  const put = await request(pusher, 'PUT', `/v2/${repository}/manifests/${tag}`, manifest, {
    'content-type': OCI_MANIFEST,
  })
  expect(put, 201, 'a manifest')
  tagAcknowledged(ledger, repository, tag, digest)
  ledger.manifests.set(`${repository}@${digest}`, { repository, digest })
  ledger.pushes += 1
  if (random.below(5) === 0) await deleteSomething(pusher, tag, digest)
}

async function pushBlob(pusher: Pusher, bytes: Buffer): Promise<void> {
  const { random, repository, ledger } = pusher
  const digest = digestOf(bytes)
  const key = `${repository}@${digest}`
  const way = random.below(3)
  ledger.deleted.delete(key)
  if (way === 0) {
    expect(
      await request(pusher, 'POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, bytes),
      201,
      'a blob',
    )
  } else {
    const opened = await request(pusher, 'POST', `/v2/${repository}/blobs/uploads/`)
    expect(opened, 202, 'an upload')
    const path = opened.headers.get('location') ?? ''
    ledger.uploads.set(path, { path, bytes, digest, repository })
    const cut = way === 1 ? bytes.length : random.below(bytes.length)
    if (cut > 0) expect(await request(pusher, 'PATCH', path, bytes.subarray(0, cut)), 202, 'a chunk')
    const rest = cut < bytes.length ? bytes.subarray(cut) : undefined
    expect(await request(pusher, 'PUT', `${path}?digest=${digest}`, rest), 201, 'the end of an upload')
    ledger.uploads.delete(path)
  }
  ledger.blobs.set(key, { repository, digest, size: bytes.length })
}

async function deleteSomething(pusher: Pusher, tag: string, digest: string): Promise<void> {
  const { random, repository, ledger } = pusher
  if (random.below(2) === 0) {
    tagUnderWay(ledger, repository, tag, null)
    expect(await request(pusher, 'DELETE', `/v2/${repository}/manifests/${tag}`), 202, 'the delete of a tag')
    tagAcknowledged(ledger, repository, tag, null)
    return
  }
  // Whatever tag points at it goes with it.
  for (const { repository: holder, tag: name, may } of ledger.tags.values()) {
    if (holder === repository && may.has(digest)) tagUnderWay(ledger, repository, name, null)
  }
  ledger.manifests.delete(`${repository}@${digest}`)
  expect(
    await request(pusher, 'DELETE', `/v2/${repository}/manifests/${digest}`),
    202,
    'the delete of a manifest',
  )
  ledger.deleted.set(`${repository}@${digest}`, { repository, digest })
  for (const entry of ledger.tags.values()) if (entry.repository === repository) entry.may.delete(digest)
}
