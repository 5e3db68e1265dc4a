// Manifests of a repository: pulled, pushed, deleted.
import { addBlobAlias, upsertBlob } from '#db/blobs.ts'
import type { Transaction } from '#db/db.ts'
import { dropDeleted } from '#db/deleted-manifests.ts'
import { blobLock, repositoryLock } from '#db/locks.ts'
import { findManifest, findTaggedManifest, type ManifestRecord, upsertManifest } from '#db/manifests.ts'
import { ensureRepository, findRepository, listRepositoryInCatalog } from '#db/repositories.ts'
import { deleteTag, setTag } from '#db/tags.ts'
import { recordEvent } from '#events/record.ts'
import type { Caller } from '#identity/caller.ts'
import { userName } from '#identity/principal.ts'
import { together } from '#lib/together.ts'
import { algorithmOf, type Digest, digestOf } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { ParsedManifest } from '#oci/manifest.ts'
import { formatReference, type Reference, type RepositoryName, type Tag } from '#oci/reference.ts'
import { readContent } from '#registry/blobs.ts'
import { checkGuards, confirmChange } from '#registry/guards.ts'
import { keepBytes } from '#registry/keep-bytes.ts'
import { keepChildren, keepContent } from '#registry/keep-content.ts'
import { MANIFEST_BYTES_MAX, type Registry } from '#registry/registry.ts'
import { removeManifest } from '#registry/remove-manifest.ts'
import { lookUp } from '#registry/upstream.ts'
import { type Missing, validateManifest } from '#registry/validate-manifest.ts'

export interface PushedManifest {
  readonly digest: Digest
  readonly subject: Digest | undefined
  readonly tags: readonly Tag[]
  /** Content that it refers to and that is not here, where the configuration allows that. */
  readonly missing: readonly Missing[]
  /** Sentences of the guards. */
  readonly warnings: readonly string[]
}

export interface ManifestPush {
  /** The media type, without parameters; empty where the client named none. */
  readonly mediaType: string
  readonly bytes: Buffer
  /** `?tag=` parameters of a push by digest. */
  readonly tags: readonly Tag[]
}

/** @throws OciError MANIFEST_UNKNOWN */
export async function findManifestIn(
  registry: Registry,
  repository: RepositoryName,
  reference: Reference,
): Promise<ManifestRecord> {
  const manifest = await lookUp(
    registry.upstreams,
    repository,
    () =>
      reference.digest === undefined
        ? findTaggedManifest(registry.db, repository, reference.tag)
        : findManifest(registry.db, repository, reference.digest),
    (upstream) => upstream.manifest(repository, reference),
  )
  if (!manifest) throw unknown(repository, reference)
  return manifest
}

/** The manifest with its bytes, which have been hashed. @throws OciError MANIFEST_UNKNOWN, also when they are gone or broken */
export async function readManifest(
  registry: Registry,
  repository: RepositoryName,
  reference: Reference,
): Promise<{ readonly manifest: ManifestRecord; readonly bytes: Buffer }> {
  const manifest = await findManifestIn(registry, repository, reference)
  const bytes = await readContent(registry, manifest.blobDigest, MANIFEST_BYTES_MAX)
  if (!bytes) throw unknown(repository, reference)
  return { manifest, bytes }
}

/**
 * Stores a manifest and points tags at it. A tag in the reference gets the canonical sha256; only `tags` can bind a tag
 * to a digest in another algorithm.
 * @throws OciError MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN, DIGEST_MISMATCH, or what a guard says
 */
export async function pushManifest(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  reference: Reference,
  push: ManifestPush,
): Promise<PushedManifest> {
  const { bytes } = push
  const sha256 = digestOf(bytes)
  const digest = reference.digest ?? sha256
  if (algorithmOf(digest) === 'sha512' ? digestOf(bytes, 'sha512') !== digest : digest !== sha256) {
    throw new OciError('DIGEST_MISMATCH', {
      detail: { claimed: digest, actual: digestOf(bytes, algorithmOf(digest)) },
    })
  }
  const { manifest, mediaType, missing, present } = await validateManifest(registry, repository, push)
  const tags = reference.tag === undefined ? [...new Set(push.tags)] : [reference.tag]
  const intent = { kind: 'push-manifest', repository, digest, tags, size: bytes.length } as const
  await checkGuards(registry.guards, intent, caller)
  const warnings = await recordManifest(registry, caller, repository, {
    ...{ digest, sha256, bytes, mediaType, manifest, tags, present },
  })
  registry.content.set(sha256, bytes, bytes.length)
  registry.announce()
  return { digest, subject: manifest.subject?.digest, tags, missing, warnings }
}

interface NewFacts {
  readonly digest: Digest
  readonly sha256: Digest
  readonly bytes: Buffer
  readonly mediaType: string
  readonly manifest: ParsedManifest
  readonly tags: readonly Tag[]
  /** Content that was found a moment ago, and must still be there when the manifest is recorded. */
  readonly present: ReadonlySet<Digest>
}

async function recordManifest(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  facts: NewFacts,
): Promise<readonly string[]> {
  const { digest, sha256, bytes, mediaType, manifest, tags } = facts
  const size = bytes.length
  const now = registry.now()
  const content = manifest.config ? [manifest.config, ...manifest.layers] : manifest.layers
  const children = manifest.manifests.map((child) => child.digest)
  const record = async (tx: Transaction) => {
    const [{ moved, created }, holder, blobId] = await together([
      whatTagsDo(tx, repository, { digest, tags }),
      ensureRepository(tx, repository, now),
      upsertBlob(tx, { digest: sha256, size, now, verifiedAt: now }),
    ])
    const change = { kind: 'push-manifest', repository, sha256, size, tags, moved, created } as const
    const warnings = await confirmChange(tx, registry.guards, change, caller)
    const [{ blobIds, missing }] = await together([
      keepContent(tx, repository, content, facts.present, now),
      keepChildren(tx, repository, children, facts.present, now),
      listRepositoryInCatalog(tx, holder),
      digest !== sha256 && addBlobAlias(tx, digest, blobId),
    ])
    const row = {
      repositoryId: holder.id,
      digest,
      blobId,
      mediaType,
      size,
      artifactType: manifest.artifactType ?? null,
      subject: manifest.subject?.digest ?? null,
      annotations: manifest.subject ? JSON.stringify(manifest.annotations) : null,
      now,
      pusher: userName(caller.principal),
    }
    const manifestId = await upsertManifest(tx, row, { blobIds, children, missing })
    const pushed = (tag: Tag | undefined) =>
      recordEvent(tx, 'manifest.pushed', { repository, digest, tag, mediaType, size }, caller, now)
    await together([
      dropDeleted(tx, holder.id, digest),
      ...tags.map((name) => setTag(tx, { repositoryId: holder.id, name, manifestId, now })),
      ...(tags.length > 0 ? tags : [undefined]).map(pushed),
    ])
    return warnings
  }
  const { value } = await keepBytes(registry, {
    ...{ sha256, size, record },
    store: () => registry.storage.put(sha256, bytes),
    canStoreAgain: true,
    locks: [repositoryLock(repository), ...[sha256, ...content.map((blob) => blob.digest)].map(blobLock)],
  })
  return value
}

async function whatTagsDo(
  tx: Transaction,
  repository: RepositoryName,
  { digest, tags }: { readonly digest: Digest; readonly tags: readonly Tag[] },
): Promise<{ moved: Tag[]; created: Tag[] }> {
  const [moved, created]: [Tag[], Tag[]] = [[], []]
  for (const tag of tags) {
    const current = await findTaggedManifest(tx, repository, tag)
    if (!current) created.push(tag)
    else if (current.digest !== digest) moved.push(tag)
  }
  return { moved, created }
}

/**
 * Deletes a tag (the manifest stays) or a manifest with the tags that point at it.
 * @throws OciError MANIFEST_UNKNOWN
 */
export async function deleteManifest(
  registry: Registry,
  caller: Caller,
  repository: RepositoryName,
  reference: Reference,
): Promise<void> {
  await checkGuards(registry.guards, { kind: 'delete-manifest', repository, reference }, caller)
  // Its tags go with it: also those that only a tree of another program knows yet.
  for (const upstream of reference.digest === undefined ? [] : registry.upstreams) {
    if (upstream.wants(repository, true)) await upstream.tags(repository)
  }
  const { id, digest, blobDigest } = await findManifestIn(registry, repository, reference)
  const now = registry.now()
  const deletion = async (tx: Transaction) => {
    const holder = await findRepository(tx, repository)
    if (!holder) return false
    if (reference.tag !== undefined) {
      const change = { kind: 'delete-tag', repository, tag: reference.tag } as const
      await confirmChange(tx, registry.guards, change, caller)
      if (!(await deleteTag(tx, holder.id, reference.tag))) return false
      await recordEvent(tx, 'tag.deleted', { repository, tag: reference.tag, digest }, caller, now)
      return true
    }
    const current = await findManifest(tx, repository, digest)
    if (!current || current.id !== id) return false
    const change = { kind: 'delete-manifest', repository, manifestId: id } as const
    await confirmChange(tx, registry.guards, change, caller)
    const removal = { repositoryId: holder.id, repository, manifest: current, caller, now }
    await removeManifest(tx, registry, { ...removal, isRecoverable: true })
    return true
  }
  const locks = [repositoryLock(repository), blobLock(blobDigest)]
  if (!(await registry.db.transaction(deletion, { mayUseReserve: true, locks })))
    throw unknown(repository, reference)
  registry.announce()
}

function unknown(repository: RepositoryName, reference: Reference): OciError {
  return new OciError('MANIFEST_UNKNOWN', { detail: { repository, reference: formatReference(reference) } })
}
