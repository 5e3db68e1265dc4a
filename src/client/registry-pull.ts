// Reads from one repository: manifests in one piece, blobs as a stream that goes on where it broke.
import { ClientError } from '#client/client-error.ts'
import { headerOf, type WireReply } from '#client/exchange.ts'
import { mediaTypeOf } from '#client/graph.ts'
import { isManifestType, MANIFEST_BYTES_MAX, type ManifestContent } from '#client/place.ts'
import type { RegistryClient } from '#client/registry-client.ts'
import { repositoryScope } from '#client/scope.ts'
import { type VerifiedSource, verified, verifyBytes } from '#client/verify.ts'
import type { ByteSink, ByteSource } from '#lib/byte-source.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf, isDigest } from '#oci/digest.ts'
import { DOCKER_SCHEMA1, MANIFEST_MEDIA_TYPES } from '#oci/media-types.ts'
import { formatReference, type Reference, type RepositoryName } from '#oci/reference.ts'

export interface RepositoryAccess {
  readonly client: RegistryClient
  readonly repository: RepositoryName
  /** What a read asks for: a place that is written to asks for both at once, and so needs one token. */
  readonly readScopes: readonly string[]
}

/** Bytes that must get through before the tries so far are forgotten, so that a drip does not go on for ever. */
const PROGRESS_BYTES_MIN = 256 * 1024

/** Below this the bytes matter less than the connection, which undici shares with all other requests. */
const BULK_BYTES_MIN = 256 * 1024

const ACCEPT = MANIFEST_MEDIA_TYPES.join(', ')

export function readAccess(
  client: RegistryClient,
  repository: RepositoryName,
  push: boolean,
): RepositoryAccess {
  const scope = push ? repositoryScope(repository, 'pull', 'push') : repositoryScope(repository, 'pull')
  return { client, repository, readScopes: [scope] }
}

export async function resolveManifest(
  access: RepositoryAccess,
  reference: Reference,
  signal: AbortSignal | undefined,
): Promise<Descriptor | undefined> {
  const reply = await access.client.send({
    method: 'HEAD',
    path: manifestPath(access, reference),
    scopes: access.readScopes,
    headers: { accept: ACCEPT },
    expect: [200, 404],
    signal,
  })
  if (reply.status === 404) return undefined
  const digest = reference.digest ?? headerOf(reply, 'docker-content-digest')
  const size = Number(headerOf(reply, 'content-length') ?? Number.NaN)
  const mediaType = plainType(reply)
  if (digest !== undefined && isDigest(digest) && Number.isSafeInteger(size) && mediaType !== undefined) {
    return { mediaType, digest, size }
  }
  // Not every registry says all of it in a HEAD.
  return (await fetchManifest(access, reference, signal))?.descriptor
}

export async function fetchManifest(
  access: RepositoryAccess,
  reference: Reference,
  signal: AbortSignal | undefined,
): Promise<ManifestContent | undefined> {
  const reply = await access.client.send({
    method: 'GET',
    path: manifestPath(access, reference),
    scopes: access.readScopes,
    headers: { accept: ACCEPT },
    expect: [200, 404],
    bodyBytesMax: MANIFEST_BYTES_MAX,
    signal,
  })
  if (reply.status === 404) return undefined
  const bytes = reply.body
  const said = headerOf(reply, 'docker-content-digest')
  // What the registry says of its own reply is held against it too, when we know the algorithm.
  const digest = reference.digest ?? (said !== undefined && isDigest(said) ? said : digestOf(bytes))
  const mediaType = plainType(reply) ?? mediaTypeOf(bytes)
  if (mediaType === undefined || mediaType === DOCKER_SCHEMA1) {
    throw new ClientError(
      'invalid',
      `${nameOf(access)} has something at ${formatReference(reference)} that is no manifest`,
    )
  }
  const descriptor = { mediaType, digest, size: bytes.byteLength }
  verifyBytes(descriptor, bytes, access.client.host)
  return { descriptor, bytes }
}

/** The type that the header says when it is one of a manifest; some registries say text/plain or application/json. */
function plainType(reply: WireReply): string | undefined {
  const type = headerOf(reply, 'content-type')?.split(';')[0]?.trim()
  return type !== undefined && isManifestType(type) ? type : undefined
}

export function blobSource(
  access: RepositoryAccess,
  descriptor: Descriptor,
  signal: AbortSignal | undefined,
): VerifiedSource {
  return verified(descriptor, blobFrom(access, descriptor, 0, signal), nameOf(access))
}

/** The bytes of a blob from an offset. A transfer that breaks goes on with a Range from the byte where it broke. */
export function blobFrom(
  access: RepositoryAccess,
  descriptor: Descriptor,
  start: number,
  signal: AbortSignal | undefined,
): ByteSource {
  return async (sink) => {
    const retries = access.client.retries()
    let at = start
    let progressAt = start
    const taking: ByteSink = (chunk) => {
      at += chunk.byteLength
      if (at - progressAt >= PROGRESS_BYTES_MIN) {
        progressAt = at
        retries.progressed()
      }
      return sink(chunk)
    }
    while (at < descriptor.size || at === start) {
      try {
        await fetchPart(access, descriptor, at, taking, signal)
        if (at >= descriptor.size) return
        throw shortBody(access, descriptor, at)
      } catch (error) {
        await retries.after(error, signal)
        // Everything was there when the connection broke.
        if (at > start && at >= descriptor.size) return
      }
    }
  }
}

async function fetchPart(
  access: RepositoryAccess,
  descriptor: Descriptor,
  at: number,
  sink: ByteSink,
  signal: AbortSignal | undefined,
): Promise<void> {
  const path = `/v2/${access.repository}/blobs/${descriptor.digest}`
  await access.client.send({
    method: 'GET',
    path,
    scopes: access.readScopes,
    headers: at > 0 ? { range: `bytes=${at}-` } : {},
    expect: [200, 206],
    retry: false,
    bulk: descriptor.size - at >= BULK_BYTES_MIN,
    signal,
    onBody: (reply) => {
      const start = reply.status === 206 ? rangeStart(reply) : 0
      const length = headerOf(reply, 'content-length')
      const wrong = (what: string) =>
        new ClientError('corrupt', `${nameOf(access)} ${what} for ${descriptor.digest}`, {
          digest: descriptor.digest,
        })
      if (start !== 0 && start !== at) throw wrong(`answered a range from ${at} with one from ${start}`)
      // A body that announces another size is refused before it is read.
      if (length !== undefined && Number(length) !== descriptor.size - start) {
        throw wrong(`announced ${length} bytes instead of ${descriptor.size - start}`)
      }
      // A server without ranges starts again at the beginning: what is already here is passed over.
      return skipping(at - start, sink)
    },
  })
}

function skipping(bytes: number, sink: ByteSink): ByteSink {
  let left = bytes
  return (chunk) => {
    if (left === 0) return sink(chunk)
    const passed = Math.min(left, chunk.byteLength)
    left -= passed
    return passed < chunk.byteLength ? sink(chunk.subarray(passed)) : undefined
  }
}

function rangeStart(reply: WireReply): number {
  const match = /^bytes (\d+)-\d+\/(?:\d+|\*)$/.exec(headerOf(reply, 'content-range') ?? '')
  return match ? Number(match[1]) : Number.NaN
}

function shortBody(access: RepositoryAccess, descriptor: Descriptor, at: number): ClientError {
  return new ClientError(
    'corrupt',
    `${nameOf(access)} ended ${descriptor.digest} after ${at} of ${descriptor.size} bytes`,
    { digest: descriptor.digest, retryable: true },
  )
}

export async function hasBlob(
  access: RepositoryAccess,
  descriptor: Descriptor,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const path = `/v2/${access.repository}/blobs/${descriptor.digest}`
  const reply = await access.client.send({
    method: 'HEAD',
    path,
    scopes: access.readScopes,
    expect: [200, 404],
    signal,
  })
  return reply.status === 200
}

export function manifestPath(access: RepositoryAccess, reference: Reference): string {
  return `/v2/${access.repository}/manifests/${formatReference(reference)}`
}

export function nameOf(access: RepositoryAccess): string {
  return `${access.client.host}/${access.repository}`
}
