// Names as the distribution spec has them: a repository, a tag, and what stands behind /manifests/.
import { type Digest, isDigest, parseDigest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'

declare const repositoryBrand: unique symbol
declare const tagBrand: unique symbol
/** A well-formed repository name, at most 255 characters. */
export type RepositoryName = string & { readonly [repositoryBrand]: true }
/** A well-formed tag, at most 128 characters. */
export type Tag = string & { readonly [tagBrand]: true }

/** What names a manifest inside a repository. */
export type Reference =
  | { readonly tag: Tag; readonly digest?: undefined }
  | { readonly digest: Digest; readonly tag?: undefined }

export const REPOSITORY_NAME_LENGTH_MAX = 255

// distribution-spec, "Pulling manifests". No component can start with "_", so `_manifests` and the like never parse.
const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/

export function isRepositoryName(text: string): text is RepositoryName {
  return text.length <= REPOSITORY_NAME_LENGTH_MAX && REPOSITORY.test(text)
}

/** @throws OciError NAME_INVALID */
export function parseRepositoryName(text: string): RepositoryName {
  if (isRepositoryName(text)) return text
  throw new OciError('NAME_INVALID', { detail: { name: text.slice(0, 300) } })
}

export function isTag(text: string): text is Tag {
  return TAG.test(text)
}

/** @throws OciError TAG_INVALID */
export function parseTag(text: string): Tag {
  if (isTag(text)) return text
  throw new OciError('TAG_INVALID', { detail: { tag: text.slice(0, 300) } })
}

/**
 * Parses what stands behind `/manifests/`: whatever holds a colon is a digest, anything else a tag.
 * @throws OciError DIGEST_MALFORMED or TAG_INVALID
 */
export function parseReference(text: string): Reference {
  if (isDigest(text)) return { digest: text }
  if (text.includes(':')) return { digest: parseDigest(text) }
  return { tag: parseTag(text) }
}

export function formatReference(reference: Reference): string {
  return reference.digest ?? reference.tag
}
