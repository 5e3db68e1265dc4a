// Where everything lies below the root of a store. The first tree is registry:2's own, so that it can serve what we store.
//
//   <root>/
//     docker/registry/v2/
//       blobs/
//         sha256/<first 2 hex>/<hex>/data                            bytes of every layer, config and manifest
//       repositories/<name>/
//         _layers/<algorithm>/<hex>/link                             "sha256:<hex>" of the bytes, no newline
//         _layers/.keep                                              ours, in a repository without layers
//         _manifests/
//           revisions/<algorithm>/<hex>/link                         the same
//           revisions/sha256/<hex>/media-type                        ours, where registry:2 does not know the type
//           revisions/sha256/<hex>/stands-in-for                     ours: the sha512 that the manifest was pushed by
//           tags/<tag>/current/link                                  the digest that the tag points at
//           tags/<tag>/index/<algorithm>/<hex>/link                  every digest that it ever pointed at
//     stowage/
//       store-id                                                     ties the folder to its database
//       uploads/<id>                                                 bytes of an open upload, and files being written
//       aside/<hex>                                                  a blob that moves to a colder tier, for a moment
//       quarantine/<hex>-<time>                                      bytes that are not what they were called
//
// registry:2 passes over the files that are ours; maintenance/link-tree.ts says what each is for.
//
// Uploads lie below the same root as the blobs: a rename within one file system is what makes a commit atomic.
import { algorithmOf, type Digest, encodedOf } from '#oci/digest.ts'
import type { RepositoryName, Tag } from '#oci/reference.ts'

export const REGISTRY_FOLDER = 'docker/registry/v2'
export const BLOBS_FOLDER = `${REGISTRY_FOLDER}/blobs`
export const SHA256_FOLDER = `${BLOBS_FOLDER}/sha256`
export const REPOSITORIES_FOLDER = `${REGISTRY_FOLDER}/repositories`
export const UPLOADS_FOLDER = 'stowage/uploads'
export const ASIDE_FOLDER = 'stowage/aside'
export const QUARANTINE_FOLDER = 'stowage/quarantine'

const UPLOAD_ID = /^[a-zA-Z0-9_-]{1,64}$/
const SHARD = /^[0-9a-f]{2}$/
const SHA256_HEX = /^[0-9a-f]{64}$/

/** The folder of 1/256 of the blobs. */
export function shardFolder(shard: string): string {
  return `${SHA256_FOLDER}/${shard}`
}

/** The first two hex digits of a sha256. @throws when the digest is in another algorithm: stores know sha256 only */
export function shardOf(digest: Digest): string {
  if (algorithmOf(digest) !== 'sha256')
    throw new Error(`a store keeps bytes under sha256 only, not ${digest}`)
  return digest.slice(7, 9)
}

export function blobFolder(digest: Digest): string {
  return `${shardFolder(shardOf(digest))}/${encodedOf(digest)}`
}

export function blobPath(digest: Digest): string {
  return `${blobFolder(digest)}/data`
}

export function isShard(name: string): boolean {
  return SHARD.test(name)
}

/** True for the name of a blob's folder inside that shard. */
export function isBlobFolder(name: string, shard: string): boolean {
  return SHA256_HEX.test(name) && name.startsWith(shard)
}

/** Where a blob waits until it is sure that the other tier has it. */
export function asidePath(digest: Digest): string {
  return `${ASIDE_FOLDER}/${encodedOf(digest)}`
}

/** Where bytes lie that do not have the digest; `at` tells several from each other. */
export function quarantinePath(digest: Digest, at: number): string {
  return `${QUARANTINE_FOLDER}/${encodedOf(digest)}-${at}`
}

/** True for the name of such a file. */
export function isAsideName(name: string): boolean {
  return SHA256_HEX.test(name)
}

export function isUploadId(text: string): boolean {
  return UPLOAD_ID.test(text)
}

/** @throws when the id is not one of ours */
export function uploadPath(id: string): string {
  if (!isUploadId(id)) throw new Error(`not an upload id: ${JSON.stringify(id.slice(0, 80))}`)
  return `${UPLOADS_FOLDER}/${id}`
}

export function repositoryFolder(name: RepositoryName): string {
  return `${REPOSITORIES_FOLDER}/${name}`
}

export function layersFolder(name: RepositoryName): string {
  return `${repositoryFolder(name)}/_layers`
}

export function layerLink(name: RepositoryName, digest: Digest): string {
  return `${layersFolder(name)}/${digestParts(digest)}/link`
}

/** A name is a repository when this folder exists. */
export function manifestsFolder(name: RepositoryName): string {
  return `${repositoryFolder(name)}/_manifests`
}

export function revisionsFolder(name: RepositoryName): string {
  return `${manifestsFolder(name)}/revisions`
}

export function revisionLink(name: RepositoryName, digest: Digest): string {
  return `${revisionsFolder(name)}/${digestParts(digest)}/link`
}

export function tagsFolder(name: RepositoryName): string {
  return `${manifestsFolder(name)}/tags`
}

/** Holds all that belongs to the tag: registry:2 removes it whole. */
export function tagFolder(name: RepositoryName, tag: Tag): string {
  return `${tagsFolder(name)}/${tag}`
}

export function tagCurrentLink(name: RepositoryName, tag: Tag): string {
  return `${tagFolder(name, tag)}/current/link`
}

export function tagIndexLink(name: RepositoryName, tag: Tag, digest: Digest): string {
  return `${tagFolder(name, tag)}/index/${digestParts(digest)}/link`
}

function digestParts(digest: Digest): string {
  return `${algorithmOf(digest)}/${encodedOf(digest)}`
}
