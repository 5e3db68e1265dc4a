// Reads a manifest and says everything that is wrong with it at once. Sources: image-spec manifest.md and image-index.md,
// distribution's manifest-v2-2. Whether what it refers to is stored here is asked elsewhere.
import { isUtf8 } from 'node:buffer'
import { caseVariants, JSON_DEPTH_MAX, jsonMembers, pointerPart } from '#lib/json-members.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { type Finding, Findings, quoted } from '#oci/findings.ts'
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  isImageType,
  isIndexType,
} from '#oci/media-types.ts'
import {
  isAbsent,
  isMediaType,
  isObject,
  type JsonObject,
  readAnnotations,
  readDescriptor,
  readText,
} from '#oci/parse-descriptor.ts'

export const MANIFEST_LAYERS_MAX = 10_000
export const INDEX_MANIFESTS_MAX = 10_000

export interface ParsedManifest {
  /** 'other' is a media type that we do not know: stored and served, never judged by rules that are not its own. */
  readonly kind: 'image' | 'index' | 'other'
  readonly mediaType: string
  /** Its own artifactType, else the media type of an image's config; undefined for an index that names none. */
  readonly artifactType?: string
  readonly subject?: Descriptor
  readonly config?: Descriptor
  /** Blobs. Of an 'other' manifest: well-formed descriptors in `layers` and `blobs`, which need not be present. */
  readonly layers: readonly Descriptor[]
  /** Child manifests; of an 'other' manifest they need not be present. */
  readonly manifests: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
}

/** A manifest is there exactly when nothing is wrong. */
export type ParseResult =
  | { readonly manifest: ParsedManifest; readonly findings: readonly [] }
  | { readonly manifest?: undefined; readonly findings: readonly Finding[] }

const KNOWN_MEMBERS = [
  'schemaVersion',
  'mediaType',
  'artifactType',
  'config',
  'layers',
  'manifests',
  'subject',
  'annotations',
]

/**
 * @param bytes the body, at most what the caller's limit for manifests allows
 * @param mediaType the Content-Type, bare (see bareMediaType)
 */
export function parseManifest(bytes: Uint8Array, mediaType: string): ParseResult {
  const findings = new Findings()
  const document = readDocument(bytes, mediaType, findings)
  if (!document) return { findings: findings.list }
  const manifest = isImageType(mediaType)
    ? readImage(document, mediaType, findings)
    : isIndexType(mediaType)
      ? readIndex(document, mediaType, findings)
      : readOther(document, mediaType, findings)
  if (!manifest || findings.list.length > 0) return { findings: findings.list }
  return { manifest, findings: [] }
}

/** The JSON object, or undefined and findings when there is none that could be looked into. */
function readDocument(bytes: Uint8Array, mediaType: string, findings: Findings): JsonObject | undefined {
  if (mediaType === DOCKER_SCHEMA1 || mediaType === DOCKER_SCHEMA1_SIGNED) {
    findings.add(
      '',
      'Docker schema 1 is not accepted: build the image again with a current tool, or convert it, e.g. with skopeo copy --format oci',
    )
    return undefined
  }
  if (!isMediaType(mediaType)) {
    findings.add('', `the Content-Type must be the media type of the manifest, not ${quoted(mediaType)}`)
    return undefined
  }
  if (!isUtf8(bytes)) {
    findings.add('', 'the body must be UTF-8')
    return undefined
  }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch (error) {
    findings.add('', `the body must be one JSON object and nothing else: ${(error as SyntaxError).message}`)
    return undefined
  }
  if (!isObject(document)) {
    findings.add('', 'the body must be a JSON object')
    return undefined
  }
  const members = jsonMembers(text)
  if (members.tooDeep) {
    // Nothing below may walk such a document: JSON.stringify and its like recurse.
    findings.add('', `nests deeper than ${JSON_DEPTH_MAX} objects and arrays`)
    return undefined
  }
  for (const path of members.repeated) findings.add(path, 'stands twice in one object: keep one of them')
  if (isImageType(mediaType) || isIndexType(mediaType)) checkCase(members.topLevel, findings)
  checkMediaType(document, mediaType, findings)
  return document
}

function checkCase(names: readonly string[], findings: Findings): void {
  for (const variant of caseVariants(names, KNOWN_MEMBERS))
    findings.add(
      pointerPart(variant.name),
      `some clients read this as ${variant.known}: write it so, or rename it`,
    )
}

/** CVE-2021-41190: the body and the Content-Type must agree on what this is. */
function checkMediaType(document: JsonObject, mediaType: string, findings: Findings): void {
  const own = readText(document['mediaType'], '/mediaType', findings)
  const required = mediaType === DOCKER_MANIFEST || mediaType === DOCKER_LIST
  if (isAbsent(document['mediaType'])) {
    if (required) findings.add('/mediaType', `is required here, and must be ${quoted(mediaType)}`)
  } else if (own !== undefined && own.toLowerCase() !== mediaType.toLowerCase()) {
    findings.add('/mediaType', `is ${quoted(own)}, but the Content-Type is ${quoted(mediaType)}`)
  }
}

function readImage(document: JsonObject, mediaType: string, findings: Findings): ParsedManifest | undefined {
  checkSchemaVersion(document, findings)
  refuse(document, ['manifests'], 'belongs to an index, not to an image', findings)
  if (isAbsent(document['config']))
    findings.add('/config', 'is required: the descriptor of the configuration')
  const config = optionalDescriptor(document['config'], '/config', findings)
  const layers = descriptors(document, 'layers', MANIFEST_LAYERS_MAX, findings)
  const common = readCommon(document, findings)
  if (!config || !layers) return undefined
  return {
    kind: 'image',
    mediaType,
    ...common,
    artifactType: common.artifactType ?? config.mediaType,
    config,
    layers,
    manifests: [],
  }
}

function readIndex(document: JsonObject, mediaType: string, findings: Findings): ParsedManifest | undefined {
  checkSchemaVersion(document, findings)
  refuse(document, ['config', 'layers'], 'belongs to an image, not to an index', findings)
  const manifests = descriptors(document, 'manifests', INDEX_MANIFESTS_MAX, findings)
  const common = readCommon(document, findings)
  if (!manifests) return undefined
  return { kind: 'index', mediaType, ...common, layers: [], manifests }
}

/**
 * An unknown type has its own meaning for every member, so only a subject must be right: it changes what we answer about
 * referrers. What looks like a reference is kept as one, so that nothing which it needs is thought unused.
 */
function readOther(document: JsonObject, mediaType: string, findings: Findings): ParsedManifest {
  const unjudged = new Findings()
  const subject = isObject(document['subject']) ? document['subject'] : undefined
  const { artifactType, annotations } = readCommon({ ...document, subject: undefined }, unjudged)
  const target = optionalDescriptor(subject, '/subject', findings)
  const config = optionalDescriptor(document['config'], '', unjudged)
  const guess = (name: string, max: number) => {
    const list = document[name]
    if (!Array.isArray(list)) return []
    return list
      .slice(0, max)
      .map((item) => readDescriptor(item, '', unjudged))
      .filter((item) => item !== undefined)
  }
  return {
    kind: 'other',
    mediaType,
    annotations,
    ...(artifactType && { artifactType }),
    ...(target && { subject: target }),
    ...(config && { config }),
    layers: [...guess('layers', MANIFEST_LAYERS_MAX), ...guess('blobs', MANIFEST_LAYERS_MAX)],
    manifests: guess('manifests', INDEX_MANIFESTS_MAX),
  }
}

function readCommon(
  document: JsonObject,
  findings: Findings,
): Pick<ParsedManifest, 'artifactType' | 'subject' | 'annotations'> {
  const artifactType = readText(document['artifactType'], '/artifactType', findings)
  const subject = optionalDescriptor(document['subject'], '/subject', findings)
  const annotations = readAnnotations(document['annotations'], '/annotations', findings)
  return {
    ...(artifactType && { artifactType }),
    ...(subject && { subject }),
    annotations: annotations ?? {},
  }
}

function checkSchemaVersion(document: JsonObject, findings: Findings): void {
  if (document['schemaVersion'] !== 2)
    findings.add('/schemaVersion', `must be 2, not ${quoted(document['schemaVersion'])}`)
}

function refuse(document: JsonObject, names: readonly string[], why: string, findings: Findings): void {
  for (const name of names) if (!isAbsent(document[name])) findings.add(`/${name}`, why)
}

function optionalDescriptor(value: unknown, path: string, findings: Findings): Descriptor | undefined {
  return isAbsent(value) ? undefined : readDescriptor(value, path, findings)
}

/** A required array of descriptors. Go writers put null for an empty one. */
function descriptors(
  document: JsonObject,
  name: string,
  countMax: number,
  findings: Findings,
): readonly Descriptor[] | undefined {
  const list = document[name] === null ? [] : document[name]
  if (!Array.isArray(list)) {
    findings.add(`/${name}`, `is required and must be an array of descriptors, not ${quoted(list)}`)
    return undefined
  }
  if (list.length > countMax) {
    findings.add(`/${name}`, `has ${list.length} entries: at most ${countMax} are accepted`)
    return undefined
  }
  return list
    .map((item, index) => readDescriptor(item, `/${name}/${index}`, findings))
    .filter((item) => item !== undefined)
}
