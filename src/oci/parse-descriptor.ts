// Reads descriptors out of parsed JSON. Source: image-spec descriptor.md. Fields that it does not name are passed over.
// Go writers put null where a value is absent, so null counts as absent everywhere.
import { pointerPart } from '#lib/json-members.ts'
import type { Descriptor, Platform } from '#oci/descriptor.ts'
import { algorithmOf, type Digest, digestOf, isDigest } from '#oci/digest.ts'
import { type Findings, quoted } from '#oci/findings.ts'

export type JsonObject = Readonly<Record<string, unknown>>

// RFC 6838 section 4.2, with parameters behind it, which some artifacts carry.
const MEDIA_TYPE = /^[A-Za-z0-9][\w!#$&^.+-]{0,126}\/[A-Za-z0-9][\w!#$&^.+-]{0,126}(?: *;[ -~]{0,200})?$/
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null
}

export function isMediaType(text: string): boolean {
  return MEDIA_TYPE.test(text)
}

/** A well-formed descriptor, or undefined and at least one finding. */
export function readDescriptor(value: unknown, path: string, findings: Findings): Descriptor | undefined {
  if (!isObject(value)) {
    findings.add(
      path,
      `must be a descriptor, an object with mediaType, digest and size; not ${quoted(value)}`,
    )
    return undefined
  }
  const mediaType = readMediaType(value['mediaType'], `${path}/mediaType`, findings)
  const digest = readDigest(value['digest'], `${path}/digest`, findings)
  const size = readSize(value['size'], `${path}/size`, findings)
  const artifactType = readText(value['artifactType'], `${path}/artifactType`, findings)
  const annotations = readAnnotations(value['annotations'], `${path}/annotations`, findings)
  const urls = readTexts(value['urls'], `${path}/urls`, findings)
  const platform = readPlatform(value['platform'], `${path}/platform`, findings)
  const data = readText(value['data'], `${path}/data`, findings)
  if (data !== undefined) checkData(data, size, digest, `${path}/data`, findings)
  if (mediaType === undefined || digest === undefined || size === undefined) return undefined
  return {
    mediaType,
    digest,
    size,
    ...(artifactType && { artifactType }),
    ...(annotations && { annotations }),
    ...(urls && { urls }),
    ...(platform && { platform }),
    ...(data !== undefined && { data }),
  }
}

export function readText(value: unknown, path: string, findings: Findings): string | undefined {
  if (isAbsent(value)) return undefined
  if (typeof value === 'string') return value
  findings.add(path, `must be a string, not ${quoted(value)}`)
  return undefined
}

export function readAnnotations(
  value: unknown,
  path: string,
  findings: Findings,
): Readonly<Record<string, string>> | undefined {
  if (isAbsent(value)) return undefined
  if (!isObject(value)) {
    findings.add(path, `must be an object of strings, not ${quoted(value)}`)
    return undefined
  }
  let fine = true
  for (const [name, text] of Object.entries(value)) {
    if (typeof text === 'string') continue
    findings.add(`${path}${pointerPart(name)}`, `must be a string, not ${quoted(text)}`)
    fine = false
  }
  return fine ? (value as Readonly<Record<string, string>>) : undefined
}

function readMediaType(value: unknown, path: string, findings: Findings): string | undefined {
  if (typeof value === 'string' && isMediaType(value)) return value
  findings.add(path, `must be a media type such as application/json, not ${quoted(value)}`)
  return undefined
}

function readDigest(value: unknown, path: string, findings: Findings): Digest | undefined {
  if (typeof value === 'string' && isDigest(value)) return value
  findings.add(path, `must be sha256:<64 hex> or sha512:<128 hex>, lower case, not ${quoted(value)}`)
  return undefined
}

function readSize(value: unknown, path: string, findings: Findings): number | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  findings.add(path, `must be a whole number of bytes from 0 to 2^53-1, not ${quoted(value)}`)
  return undefined
}

function readTexts(value: unknown, path: string, findings: Findings): readonly string[] | undefined {
  if (isAbsent(value)) return undefined
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value
  findings.add(path, `must be an array of strings, not ${quoted(value)}`)
  return undefined
}

function readPlatform(value: unknown, path: string, findings: Findings): Platform | undefined {
  if (isAbsent(value)) return undefined
  if (!isObject(value)) {
    findings.add(path, `must be an object with architecture and os, not ${quoted(value)}`)
    return undefined
  }
  const architecture = readText(value['architecture'] ?? '', `${path}/architecture`, findings)
  const os = readText(value['os'] ?? '', `${path}/os`, findings)
  const variant = readText(value['variant'], `${path}/variant`, findings)
  const osVersion = readText(value['os.version'], `${path}/os.version`, findings)
  const osFeatures = readTexts(value['os.features'], `${path}/os.features`, findings)
  if (architecture === undefined || os === undefined) return undefined
  return {
    // The spec requires both, yet tools that write Go's zero values leave them out, and every reader takes that as empty.
    architecture,
    os,
    ...(variant !== undefined && { variant }),
    ...(osVersion !== undefined && { 'os.version': osVersion }),
    ...(osFeatures !== undefined && { 'os.features': osFeatures }),
  }
}

/** "The decoded data MUST match the digest and size" (image-spec, "Embedded Content"). */
function checkData(
  data: string,
  size: number | undefined,
  digest: Digest | undefined,
  path: string,
  findings: Findings,
): void {
  if (data.length % 4 !== 0 || !BASE64.test(data)) {
    findings.add(path, 'must be base64 (RFC 4648 section 4) with its padding')
    return
  }
  const bytes = Buffer.from(data, 'base64')
  if (size !== undefined && bytes.length !== size)
    findings.add(path, `holds ${bytes.length} bytes, but size says ${size}`)
  else if (digest !== undefined && digestOf(bytes, algorithmOf(digest)) !== digest)
    findings.add(path, `does not have the digest ${digest}`)
}
