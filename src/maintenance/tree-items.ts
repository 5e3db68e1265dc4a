// Brings one tag, manifest or blob of a repository in line with a tree that another program may have written to: what the
// tree has and the facts do not is taken over, what the tree lost is forgotten. What our own events touched since our start
// is ours, and the tree only lags behind: it is left alone.
import type { KeyStore } from '#blobs/keys.ts'
import { layerLink, revisionLink, tagCurrentLink } from '#blobs/layout.ts'
import type { BlobStorage } from '#blobs/store.ts'
import {
  addBlobAlias,
  findBlob,
  findRepositoryBlob,
  forgetBlob,
  linkBlob,
  unlinkBlob,
  upsertBlob,
} from '#db/blobs.ts'
import type { Db, Transaction } from '#db/db.ts'
import { deleteManifest, findManifest, findTaggedManifest, upsertManifest } from '#db/manifests.ts'
import { ensureRepository, findRepository, listRepositoryInCatalog } from '#db/repositories.ts'
import { deleteTag, setTag } from '#db/tags.ts'
import { isDigestTouched, isTagTouched, setBlobFound } from '#db/tree.ts'
import { factsOfForeign } from '#maintenance/foreign-manifest.ts'
import { algorithmOf, type Digest, digestOf, isDigest } from '#oci/digest.ts'
import type { RepositoryName, Tag } from '#oci/reference.ts'

/** registry:2 takes manifests of 4 MiB too. */
const MANIFEST_BYTES_MAX = 4 * 1024 * 1024

export interface TreeItemOptions {
  readonly db: Db
  readonly storage: BlobStorage
  readonly keys: KeyStore
  readonly now: () => number
  /** Events after this one are ours, and the tree may not have them yet. */
  readonly watermark: number
  /** Told of everything that is broken in the tree. */
  readonly onBroken: (what: string, where: string) => void
}

export interface TreeCounts {
  tags: number
  manifests: number
  blobs: number
  forgotten: number
}

export class TreeItems {
  readonly counts: TreeCounts = { tags: 0, manifests: 0, blobs: 0, forgotten: 0 }
  readonly #options: TreeItemOptions

  constructor(options: TreeItemOptions) {
    this.#options = options
  }

  async tag(repository: RepositoryName, tag: Tag): Promise<void> {
    const { db } = this.#options
    const path = tagCurrentLink(repository, tag)
    const target = await this.#link(path)
    const known = await findTaggedManifest(db, repository, tag)
    if (target !== undefined && (known?.digest === target || known?.blobDigest === target)) return
    if (target !== undefined) await this.manifest(repository, target)
    await this.#change((tx) => this.#setTag(tx, repository, tag, target), path)
  }

  async #setTag(
    tx: Transaction,
    repository: RepositoryName,
    tag: Tag,
    target: Digest | undefined,
  ): Promise<'changed' | 'broken' | undefined> {
    const { watermark, now } = this.#options
    if (await isTagTouched(tx, repository, tag, watermark)) return undefined
    const holder = await findRepository(tx, repository)
    const manifest = target && holder ? await findManifest(tx, repository, target) : undefined
    if (holder && manifest) {
      await setTag(tx, { repositoryId: holder.id, name: tag, manifestId: manifest.id, now: now() })
      this.counts.tags += 1
      return 'changed'
    }
    if (holder && (await deleteTag(tx, holder.id, tag))) this.counts.forgotten += 1
    return target === undefined ? undefined : 'broken'
  }

  async manifest(repository: RepositoryName, digest: Digest): Promise<void> {
    const { db, storage } = this.#options
    const path = revisionLink(repository, digest)
    const target = await this.#link(path)
    const known = await findManifest(db, repository, digest)
    if (target === undefined) {
      if (known) await this.#change((tx) => this.#forgetManifest(tx, repository, digest), path)
      return
    }
    // A link of registry:2 names the digest itself; ours names the sha256 of the bytes, which for sha256 is the same.
    const bytesAt = algorithmOf(digest) === 'sha256' ? digest : target
    if (known && (await storage.stat(known.blobDigest))?.size === known.size) return
    const bytes =
      algorithmOf(bytesAt) === 'sha256' ? await storage.read(bytesAt, MANIFEST_BYTES_MAX) : undefined
    if (bytes && digestOf(bytes) === bytesAt && digestOf(bytes, algorithmOf(digest)) === digest) {
      await this.#change((tx) => this.#addManifest(tx, repository, digest, bytesAt, bytes), path)
      return
    }
    await this.#change(async (tx) => {
      await this.#forgetManifest(tx, repository, digest)
      return 'broken'
    }, path)
  }

  async #addManifest(
    tx: Transaction,
    repository: RepositoryName,
    digest: Digest,
    sha256: Digest,
    bytes: Buffer,
  ): Promise<'changed' | undefined> {
    const { watermark } = this.#options
    if (await isDigestTouched(tx, repository, digest, watermark)) return undefined
    const now = this.#options.now()
    const holder = await ensureRepository(tx, repository, now)
    await listRepositoryInCatalog(tx, holder)
    const blobId = await upsertBlob(tx, { digest: sha256, size: bytes.length, now, verifiedAt: now })
    if (digest !== sha256) await addBlobAlias(tx, digest, blobId)
    const facts = factsOfForeign(bytes)
    const blobIds: number[] = []
    for (const reference of facts.blobs) {
      const blob = await findBlob(tx, reference)
      if (blob) blobIds.push(blob.id)
    }
    const row = { repositoryId: holder.id, digest, blobId, size: bytes.length, now, ...facts.row }
    await upsertManifest(tx, row, { blobIds, children: facts.children })
    this.counts.manifests += 1
    return 'changed'
  }

  async #forgetManifest(
    tx: Transaction,
    repository: RepositoryName,
    digest: Digest,
  ): Promise<'changed' | undefined> {
    if (await isDigestTouched(tx, repository, digest, this.#options.watermark)) return undefined
    const manifest = await findManifest(tx, repository, digest)
    if (!manifest) return undefined
    await deleteManifest(tx, manifest.id)
    this.counts.forgotten += 1
    return 'changed'
  }

  async blob(repository: RepositoryName, digest: Digest): Promise<void> {
    const { db, storage } = this.#options
    const path = layerLink(repository, digest)
    const target = await this.#link(path)
    const known = await findRepositoryBlob(db, repository, digest)
    if (target === undefined) {
      if (known) await this.#change((tx) => this.#unlink(tx, repository, digest), path)
      return
    }
    const sha256 = algorithmOf(digest) === 'sha256' ? digest : target
    const lookedAt = this.#options.now()
    const stat = algorithmOf(sha256) === 'sha256' ? await storage.stat(sha256) : undefined
    if (!stat) {
      await this.#change((tx) => this.#forgetBytes(tx, repository, digest, lookedAt), path)
      return
    }
    const isSound =
      known?.size === stat.size && (known.verifiedAt === null || stat.modifiedAt <= known.verifiedAt)
    if (!isSound) await this.#change((tx) => this.#addBlob(tx, repository, digest, sha256, stat), path)
  }

  async #addBlob(
    tx: Transaction,
    repository: RepositoryName,
    digest: Digest,
    sha256: Digest,
    stat: { readonly size: number; readonly modifiedAt: number },
  ): Promise<'changed' | undefined> {
    if (await isDigestTouched(tx, repository, digest, this.#options.watermark)) return undefined
    const now = this.#options.now()
    const blob = await findBlob(tx, sha256)
    let id = blob?.id
    if (blob === undefined || id === undefined) {
      id = await upsertBlob(tx, { digest: sha256, size: stat.size, now, verifiedAt: null })
    } else if (blob.size !== stat.size || (blob.verifiedAt !== null && stat.modifiedAt > blob.verifiedAt)) {
      await setBlobFound(tx, id, stat.size)
    }
    if (digest !== sha256) await addBlobAlias(tx, digest, id)
    const holder = await ensureRepository(tx, repository, now)
    await linkBlob(tx, { repositoryId: holder.id, blobId: id, now })
    this.counts.blobs += 1
    return 'changed'
  }

  async #unlink(tx: Transaction, repository: RepositoryName, digest: Digest): Promise<'changed' | undefined> {
    if (await isDigestTouched(tx, repository, digest, this.#options.watermark)) return undefined
    const [holder, blob] = [await findRepository(tx, repository), await findBlob(tx, digest)]
    if (!holder || !blob || !(await unlinkBlob(tx, holder.id, blob.id))) return undefined
    this.counts.forgotten += 1
    return 'changed'
  }

  /** The link is there and the bytes are not: another program's garbage collection, or a crash of it. */
  async #forgetBytes(
    tx: Transaction,
    repository: RepositoryName,
    digest: Digest,
    lookedAt: number,
  ): Promise<'broken' | undefined> {
    if (await isDigestTouched(tx, repository, digest, this.#options.watermark)) return undefined
    const blob = await findBlob(tx, digest)
    // Verified since we looked: somebody has just pushed it into another repository.
    if (blob?.verifiedAt && blob.verifiedAt >= lookedAt) return undefined
    if (blob) {
      await forgetBlob(tx, blob.id)
      this.counts.forgotten += 1
    }
    return 'broken'
  }

  /** In one transaction, so that no event of ours can come between the look and the change. */
  async #change(
    work: (tx: Transaction) => Promise<'changed' | 'broken' | undefined>,
    path: string,
  ): Promise<void> {
    const outcome = await this.#options.db.transaction(work, { durable: false })
    if (outcome === 'broken') this.#options.onBroken('the link leads to nothing that can be served', path)
  }

  /** What a link says, read as leniently as registry:2 does; undefined when it is absent or says nothing. */
  async #link(path: string): Promise<Digest | undefined> {
    const text = (await this.#options.keys.get(path))?.trim()
    if (text === undefined) return undefined
    if (isDigest(text)) return text
    this.#options.onBroken('the link is empty or no digest', path)
    return undefined
  }
}
