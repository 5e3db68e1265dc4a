// What a manifest says that another program accepted: read leniently, since it is served already and must go on being so.
import type { NewManifest } from '#db/manifests.ts'
import { type Digest, isDigest } from '#oci/digest.ts'
import { type ParsedManifest, parseManifest } from '#oci/manifest.ts'
import {
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  OCI_INDEX,
  OCI_MANIFEST,
  OCTET_STREAM,
} from '#oci/media-types.ts'

export interface ForeignFacts {
  readonly row: Pick<NewManifest, 'mediaType' | 'artifactType' | 'subject' | 'annotations'>
  readonly blobs: readonly Digest[]
  readonly children: readonly Digest[]
}

export function factsOfForeign(bytes: Buffer): ForeignFacts {
  const document = objectOf(bytes)
  const mediaType = mediaTypeOf(document)
  const { manifest } = parseManifest(bytes, mediaType)
  return manifest ? strictFacts(manifest) : lenientFacts(document, mediaType)
}

function strictFacts(manifest: ParsedManifest): ForeignFacts {
  const { mediaType, subject, config, layers, manifests } = manifest
  return {
    row: {
      mediaType,
      artifactType: manifest.artifactType ?? null,
      subject: subject?.digest ?? null,
      annotations: subject ? JSON.stringify(manifest.annotations) : null,
    },
    blobs: [...(config ? [config] : []), ...layers].map(({ digest }) => digest),
    children: manifests.map(({ digest }) => digest),
  }
}

/** Our rules find fault with it: the digests that can be read are what keeps its content from looking unused. */
function lenientFacts(document: Readonly<Record<string, unknown>>, mediaType: string): ForeignFacts {
  return {
    row: { mediaType, artifactType: null, subject: null, annotations: null },
    blobs: [
      ...digestsIn([document['config'], ...listOf(document['layers'])], 'digest'),
      ...digestsIn(listOf(document['fsLayers']), 'blobSum'),
    ],
    children: digestsIn(listOf(document['manifests']), 'digest'),
  }
}

function digestsIn(values: readonly unknown[], member: 'digest' | 'blobSum'): Digest[] {
  const digests = values.map((value) => (value as Record<string, unknown> | null | undefined)?.[member])
  return digests.filter((digest): digest is Digest => typeof digest === 'string' && isDigest(digest))
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function objectOf(bytes: Buffer): Readonly<Record<string, unknown>> {
  try {
    const document: unknown = JSON.parse(bytes.toString('utf8'))
    return typeof document === 'object' && document !== null && !Array.isArray(document)
      ? (document as Record<string, unknown>)
      : {}
  } catch {
    return {}
  }
}

/** registry:2 keeps no media type beside the bytes: it reads it out of them, and so do we. */
function mediaTypeOf(document: Readonly<Record<string, unknown>>): string {
  const { mediaType, schemaVersion } = document
  if (typeof mediaType === 'string' && mediaType !== '') return mediaType
  if (schemaVersion === 1) return 'signatures' in document ? DOCKER_SCHEMA1_SIGNED : DOCKER_SCHEMA1
  if ('manifests' in document) return OCI_INDEX
  return schemaVersion === 2 ? OCI_MANIFEST : OCTET_STREAM
}
