// Blobs, manifests and images to push, and the requests that push them.
import { randomBytes } from 'node:crypto'
import { type Digest, digestOf } from '#oci/digest.ts'
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, OCTET_STREAM } from '#oci/media-types.ts'
import { type Answer, locationOf, send, type Target } from './client.ts'

export const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'

export interface Content {
  readonly bytes: Buffer
  readonly digest: Digest
}

export function contentOf(bytes: Buffer | string): Content {
  const buffer = Buffer.from(bytes)
  return { bytes: buffer, digest: digestOf(buffer) }
}

export function randomContent(size: number): Content {
  return contentOf(randomBytes(size))
}

export function descriptorOf(content: Content, mediaType: string, digest: Digest = content.digest) {
  return { mediaType, digest, size: content.bytes.length }
}

export interface Image {
  readonly config: Content
  readonly layers: readonly Content[]
  readonly manifest: Content
}

/** An image of random bytes. `members` are added to the manifest, or replace its own. */
export function makeImage(
  layers: readonly Content[] = [randomContent(300)],
  members: Readonly<Record<string, unknown>> = {},
): Image {
  const config = contentOf(
    JSON.stringify({ architecture: 'amd64', os: 'linux', made: randomBytes(8).toString('hex') }),
  )
  const manifest = contentOf(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: descriptorOf(config, OCI_CONFIG),
      layers: layers.map((layer) => descriptorOf(layer, LAYER)),
      ...members,
    }),
  )
  return { config, layers, manifest }
}

/** An index of manifests that are (or are not) there. */
export function makeIndex(
  children: readonly Readonly<Record<string, unknown>>[],
  members: Readonly<Record<string, unknown>> = {},
): Content {
  return contentOf(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: children, ...members }),
  )
}

/** A blob in one request. */
export async function pushBlob(server: Target, name: string, content: Content): Promise<Digest> {
  const answer = await send(server, 'POST', `/v2/${name}/blobs/uploads/?digest=${content.digest}`, {
    headers: { 'Content-Type': OCTET_STREAM },
    body: content.bytes,
  })
  expectStatus(answer, 201)
  return content.digest
}

export function putManifest(
  server: Target,
  name: string,
  reference: string,
  bytes: Buffer | string,
  mediaType = OCI_MANIFEST,
): Promise<Answer> {
  return send(server, 'PUT', `/v2/${name}/manifests/${reference}`, {
    headers: { 'Content-Type': mediaType },
    body: bytes,
  })
}

/** Everything of an image, its manifest last. */
export async function pushImage(
  server: Target,
  name: string,
  reference: string,
  image: Image,
): Promise<void> {
  for (const content of [image.config, ...image.layers]) await pushBlob(server, name, content)
  expectStatus(await putManifest(server, name, reference, image.manifest.bytes), 201)
}

/** The path of a new upload session. */
export async function openSession(server: Target, name: string, query = ''): Promise<string> {
  const answer = await send(server, 'POST', `/v2/${name}/blobs/uploads/${query}`)
  expectStatus(answer, 202)
  return locationOf(answer)
}

export function expectStatus(answer: Answer, status: number): void {
  if (answer.status !== status) throw new Error(`${answer.status} instead of ${status}: ${answer.body}`)
}
