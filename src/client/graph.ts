// What a manifest points at. Read leniently: a registry may hold manifests that nobody would write today.
import { ClientError } from '#client/client-error.ts'
import { isManifestType, type ManifestContent } from '#client/place.ts'
import { verifyBytes } from '#client/verify.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import { Findings } from '#oci/findings.ts'
import {
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  isIndexType,
  OCI_INDEX,
  OCI_MANIFEST,
} from '#oci/media-types.ts'
import { isObject, readDescriptor as parseDescriptor } from '#oci/parse-descriptor.ts'

export interface ManifestLinks {
  readonly mediaType: string
  readonly artifactType: string | undefined
  readonly annotations: Readonly<Record<string, string>> | undefined
  /** Manifests of an index. */
  readonly manifests: readonly Descriptor[]
  /** Config first, then layers; those of an index are none. */
  readonly blobs: readonly Descriptor[]
  readonly config: Descriptor | undefined
  readonly layers: readonly Descriptor[]
  readonly subject: Descriptor | undefined
}

/** Entries of one manifest that are read: 8 MiB hold no more that mean anything. */
const ENTRIES_MAX = 65_536

/** @throws ClientError invalid when it is no manifest, or names something by what is not a digest */
export function readLinks(manifest: ManifestContent): ManifestLinks {
  const { descriptor, bytes } = manifest
  const wrong = (what: string) =>
    new ClientError('invalid', `manifest ${descriptor.digest} ${what}`, { digest: descriptor.digest })
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw new ClientError('invalid', `manifest ${descriptor.digest} is not JSON`, {
      digest: descriptor.digest,
      cause,
    })
  }
  if (!isObject(value)) throw wrong('is not an object')
  const mediaType = descriptor.mediaType
  if (mediaType === DOCKER_SCHEMA1 || mediaType === DOCKER_SCHEMA1_SIGNED || value['schemaVersion'] === 1) {
    throw wrong(
      'has the format of Docker schema 1, which is not copied: push the image again with a newer client',
    )
  }
  const list = (name: string): Descriptor[] => {
    const entries = value[name] ?? []
    if (!Array.isArray(entries) || entries.length > ENTRIES_MAX) throw wrong(`has ${name} that are no list`)
    return entries.map(
      (entry, index) =>
        readDescriptor(entry) ?? fail(`names ${name}[${index}] without a valid digest, size and type`),
    )
  }
  const one = (name: string): Descriptor | undefined =>
    value[name] === undefined || value[name] === null
      ? undefined
      : (readDescriptor(value[name]) ?? fail(`has a ${name} without a valid digest, size and type`))
  const fail = (what: string): never => {
    throw wrong(what)
  }
  // An index is what its media type says; a body that claims to be both is how CVE-2021-41190 confused clients.
  const index = isIndexType(mediaType)
  if (
    index ? value['layers'] !== undefined || value['config'] !== undefined : value['manifests'] !== undefined
  ) {
    throw wrong('is both an image and an index')
  }
  const config = index ? undefined : one('config')
  const layers = index ? [] : list('layers')
  return {
    mediaType,
    artifactType: text(value['artifactType']) ?? (index ? undefined : config?.mediaType),
    annotations: annotationsOf(value['annotations']),
    manifests: index ? list('manifests') : [],
    blobs: config ? [config, ...layers] : layers,
    config,
    layers,
    subject: one('subject'),
  }
}

/** The media type that a manifest says of itself, or that its members imply. Undefined when it is no manifest at all. */
export function mediaTypeOf(bytes: Buffer): string | undefined {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
  if (!isObject(value)) return undefined
  if (value['schemaVersion'] === 1) return DOCKER_SCHEMA1
  const said = text(value['mediaType'])
  if (said !== undefined && isManifestType(said)) return said
  if (Array.isArray(value['manifests'])) return OCI_INDEX
  return isObject(value['config']) ? OCI_MANIFEST : undefined
}

/**
 * The bytes of a manifest as what they are: verified, and with a media type.
 * @param mediaType what an index says of it; read out of the bytes where nobody says it
 * @throws ClientError corrupt, or invalid when it is no manifest
 */
export function manifestContent(
  digest: Digest,
  bytes: Buffer,
  mediaType: string | undefined,
  label: string,
): ManifestContent {
  const said = mediaType ?? mediaTypeOf(bytes)
  if (said === undefined) throw new ClientError('invalid', `${label} has ${digest}, which is no manifest`)
  const descriptor = { mediaType: said, digest, size: bytes.byteLength }
  verifyBytes(descriptor, bytes, label)
  return { descriptor, bytes }
}

/** A descriptor out of JSON; undefined when a part that everybody needs is missing or malformed. */
export function readDescriptor(value: unknown): Descriptor | undefined {
  return parseDescriptor(value, '', new Findings())
}

/** The annotations that are strings: other tools have written numbers there. */
function annotationsOf(value: unknown): Record<string, string> | undefined {
  if (!isObject(value)) return undefined
  const entries = Object.entries(value).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  )
  return entries.length > 0 ? Object.fromEntries(entries) : undefined
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
