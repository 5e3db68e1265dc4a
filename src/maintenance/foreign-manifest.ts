// What a manifest says that another program accepted: read leniently, since it is served already and must go on being so.
import type { NewManifest } from '#db/manifests.ts'
import { type Digest, isDigest } from '#oci/digest.ts'
import { Findings } from '#oci/findings.ts'
import { type ParsedManifest, parseManifest } from '#oci/manifest.ts'
import {
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  OCI_INDEX,
  OCI_MANIFEST,
  OCTET_STREAM,
} from '#oci/media-types.ts'
import { isMediaType, isObject, readAnnotations, readDescriptor } from '#oci/parse-descriptor.ts'

export interface ForeignFacts {
  /** Whether the bytes themselves say what they are. */
  readonly tellsType: boolean
  readonly row: Pick<NewManifest, 'mediaType' | 'artifactType' | 'subject' | 'annotations'>
  readonly blobs: readonly Digest[]
  readonly children: readonly Digest[]
}

/** `told` is the media type that stands beside the bytes; it counts where they do not say it themselves. */
export function factsOfForeign(bytes: Buffer, told?: string): ForeignFacts {
  const document = objectOf(bytes)
  const own = document['mediaType']
  const tellsType = typeof own === 'string' && isMediaType(own)
  const mediaType = tellsType ? own : told !== undefined && isMediaType(told) ? told : typeByShape(document)
  const { manifest } = parseManifest(bytes, mediaType)
  return { tellsType, ...(manifest ? strictFacts(manifest) : lenientFacts(document, mediaType)) }
}

function strictFacts(manifest: ParsedManifest): Omit<ForeignFacts, 'tellsType'> {
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

/**
 * Our rules find fault with it: the digests that can be read are what keeps its content from looking unused. A subject that is
 * sound counts all the same: the specification wants every manifest with one listed, whoever took it before us.
 */
function lenientFacts(
  document: Readonly<Record<string, unknown>>,
  mediaType: string,
): Omit<ForeignFacts, 'tellsType'> {
  const unjudged = new Findings()
  const subject = readDescriptor(document['subject'], '', unjudged)?.digest ?? null
  const annotations = readAnnotations(document['annotations'], '', unjudged) ?? {}
  return {
    row: {
      mediaType,
      artifactType: subject && (textIn(document['artifactType']) ?? configType(document)),
      subject,
      annotations: subject && JSON.stringify(annotations),
    },
    blobs: [
      ...digestsIn([document['config'], ...listOf(document['layers'])], 'digest'),
      ...digestsIn(listOf(document['fsLayers']), 'blobSum'),
    ],
    children: digestsIn(listOf(document['manifests']), 'digest'),
  }
}

/** What stands for the artifact type of an image that names none. */
function configType({ config }: Readonly<Record<string, unknown>>): string | null {
  return isObject(config) ? (textIn(config['mediaType']) ?? null) : null
}

function textIn(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
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
    return isObject(document) ? document : {}
  } catch {
    return {}
  }
}

/** registry:2 keeps no media type beside the bytes: it reads it out of them, and so do we. */
function typeByShape(document: Readonly<Record<string, unknown>>): string {
  const { schemaVersion } = document
  if (schemaVersion === 1) return 'signatures' in document ? DOCKER_SCHEMA1_SIGNED : DOCKER_SCHEMA1
  if ('manifests' in document) return OCI_INDEX
  return schemaVersion === 2 ? OCI_MANIFEST : OCTET_STREAM
}
