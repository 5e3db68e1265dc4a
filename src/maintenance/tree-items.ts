// Brings one tag, manifest or blob of a repository in line with a tree that another program may have written to: what the
// tree has and the facts do not is taken over, what the tree lost is forgotten. What our own events touched since the tree
// was last in step is ours, and the tree only lags behind: it is left alone. Bytes that are gone are forgotten all the same.
import type { KeyStore } from '#blobs/keys.ts'
import { layerLink, revisionLink, tagCurrentLink } from '#blobs/layout.ts'
import type { BlobStat } from '#blobs/store.ts'
import {
  addBlobAlias,
  blobAliases,
  findBlob,
  findRepositoryBlob,
  forgetBlob,
  linkBlob,
  reviveBlob,
  unlinkBlob,
  upsertBlob,
} from '#db/blobs.ts'
import type { Db, Executor, Transaction } from '#db/db.ts'
import { deleteManifest, findManifest, findTaggedManifest, upsertManifest } from '#db/manifests.ts'
import { ensureRepository, findRepository, listRepositoryInCatalog } from '#db/repositories.ts'
import { deleteTag, setTag } from '#db/tags.ts'
import { isDigestTouched, isTagTouched, setBlobFound } from '#db/tree.ts'
import { type ForeignFacts, factsOfForeign } from '#maintenance/foreign-manifest.ts'
import { mediaTypeMark, standInMark } from '#maintenance/link-tree.ts'
import type { ReadableStore } from '#maintenance/scan/scanned-store.ts'
import { algorithmOf, type Digest, DigestHash, digestOf, isDigest } from '#oci/digest.ts'
import type { RepositoryName, Tag } from '#oci/reference.ts'

/** registry:2 takes manifests of 4 MiB too. */
const MANIFEST_BYTES_MAX = 4 * 1024 * 1024

export interface TreeItemOptions {
  readonly db: Db
  readonly storage: ReadableStore
  readonly keys: Pick<KeyStore, 'get'>
  readonly now: () => number
  /** Events after this one are ours, and the tree may not have them yet. */
  readonly watermark: () => number
  /** Told of everything that is broken in the tree. */
  readonly onBroken: (what: string, where: string) => void
  /** Counted on, where several count together. */
  readonly counts?: TreeCounts
}

export interface TreeCounts {
  tags: number
  manifests: number
  blobs: number
  forgotten: number
}

/** What a link file says. One that cannot be read says nothing, also not that its thing was deleted. */
type Link = Digest | 'absent' | 'unreadable'

type Outcome = 'changed' | 'broken' | undefined

/** What was known when an item was looked at: what happened since is for the transaction to see. */
interface Look {
  readonly repository: RepositoryName
  readonly watermark: number
  /** Milliseconds since 1970. */
  readonly at: number
}

export class TreeItems {
  readonly counts: TreeCounts
  readonly #options: TreeItemOptions

  constructor(options: TreeItemOptions) {
    this.#options = options
    this.counts = options.counts ?? { tags: 0, manifests: 0, blobs: 0, forgotten: 0 }
  }

  /** The tag and what it leads to: all that an answer about it needs. */
  async taggedManifest(repository: RepositoryName, tag: Tag): Promise<void> {
    await this.tag(repository, tag)
    const known = await findTaggedManifest(this.#options.db, repository, tag)
    if (known) await this.manifest(repository, known.digest)
  }

  async tag(repository: RepositoryName, tag: Tag): Promise<void> {
    const { db } = this.#options
    const look = this.#look(repository)
    const path = tagCurrentLink(repository, tag)
    const link = await this.#link(path)
    if (link === 'unreadable') return
    const known = await findTaggedManifest(db, repository, tag)
    if (link === 'absent' ? !known : known?.digest === link || known?.blobDigest === link) return
    const target = link === 'absent' ? undefined : await this.#targetOf(repository, link)
    await this.#change((tx) => this.#setTag(tx, look, tag, target), path)
  }

  /** The manifest that a tag's link leads to, taken over when it is not known. */
  async #targetOf(repository: RepositoryName, link: Digest): Promise<Digest> {
    if (await findManifest(this.#options.db, repository, link)) return link
    const target = await this.#standsInFor(repository, link)
    await this.manifest(repository, target)
    return target
  }

  async #setTag(
    tx: Transaction,
    { repository, watermark }: Look,
    tag: Tag,
    target: Digest | undefined,
  ): Promise<Outcome> {
    if (await isTagTouched(tx, repository, tag, watermark)) return undefined
    const holder = await findRepository(tx, repository)
    const manifest = target && holder ? await findManifest(tx, repository, target) : undefined
    if (holder && manifest) {
      const now = this.#options.now()
      await setTag(tx, { repositoryId: holder.id, name: tag, manifestId: manifest.id, now })
      this.counts.tags += 1
      return 'changed'
    }
    // Also when it pointed at something good before: whoever asks for a tag must not get what it no longer means.
    if (holder && (await deleteTag(tx, holder.id, tag))) this.counts.forgotten += 1
    return target === undefined ? undefined : 'broken'
  }

  async manifest(repository: RepositoryName, digest: Digest): Promise<void> {
    const { db } = this.#options
    const look = this.#look(repository)
    const path = revisionLink(repository, digest)
    const link = await this.#link(path)
    const known = await findManifest(db, repository, digest)
    if (!known && (link === 'absent' || link === 'unreadable')) return
    if (!known && (await this.#standsInFor(repository, digest)) !== digest) return
    // A link of registry:2 names the digest itself; ours names the sha256 of the bytes, which for sha256 is the same.
    const bytesAt = known?.blobDigest ?? (algorithmOf(digest) === 'sha256' ? digest : link)
    const isSound = known && (await this.#isSound(known.blobDigest, known.size))
    const bytes = isSound ? undefined : await this.#manifestBytes(digest, bytesAt)
    if (known && !isSound && !bytes) {
      await this.#change((tx) => this.#forgetBytes(tx, known.blobDigest, look), path)
    } else if (link === 'absent') {
      await this.#change((tx) => this.#forgetManifest(tx, look, digest), path)
    } else if (bytes) {
      const facts = await this.#factsOf(repository, bytes)
      for (const blob of facts.blobs) if (!(await findBlob(db, blob))) await this.blob(repository, blob)
      await this.#change((tx) => this.#addManifest(tx, look, digest, bytes, facts), path)
    } else if (!known) {
      this.#options.onBroken(LEADS_NOWHERE, path)
    }
  }

  async #factsOf(repository: RepositoryName, bytes: Buffer): Promise<ForeignFacts> {
    const facts = factsOfForeign(bytes)
    if (facts.tellsType) return facts
    return factsOfForeign(
      bytes,
      (await this.#options.keys.get(mediaTypeMark(repository, digestOf(bytes))))?.trim(),
    )
  }

  /** The manifest that a sha256 link of ours is only there for; the digest itself otherwise. */
  async #standsInFor(repository: RepositoryName, digest: Digest): Promise<Digest> {
    if (algorithmOf(digest) !== 'sha256') return digest
    const mark = (await this.#options.keys.get(standInMark(repository, digest)))?.trim()
    return mark !== undefined && isDigest(mark) ? mark : digest
  }

  /** Undefined when they are absent, too many, or do not have the digest. */
  async #manifestBytes(digest: Digest, bytesAt: string): Promise<Buffer | undefined> {
    if (!isDigest(bytesAt) || algorithmOf(bytesAt) !== 'sha256') return undefined
    const bytes = await this.#options.storage.read(bytesAt, MANIFEST_BYTES_MAX)
    if (!bytes || digestOf(bytes) !== bytesAt || digestOf(bytes, algorithmOf(digest)) !== digest)
      return undefined
    return bytes
  }

  async #addManifest(
    tx: Transaction,
    { repository, watermark }: Look,
    digest: Digest,
    bytes: Buffer,
    facts: ForeignFacts,
  ): Promise<Outcome> {
    if (await isDigestTouched(tx, repository, digest, watermark)) return undefined
    const now = this.#options.now()
    const holder = await ensureRepository(tx, repository, now)
    await listRepositoryInCatalog(tx, holder)
    const sha256 = digestOf(bytes)
    const blobId = await upsertBlob(tx, { digest: sha256, size: bytes.length, now, verifiedAt: now })
    if (digest !== sha256) await addBlobAlias(tx, digest, blobId)
    const blobIds: number[] = []
    const missing: Digest[] = []
    for (const reference of facts.blobs) {
      const blob = await findBlob(tx, reference)
      if (blob && !blob.deleting) {
        if (blob.condemnedAt !== null) await reviveBlob(tx, blob)
        blobIds.push(blob.id)
      } else missing.push(reference)
    }
    const row = { repositoryId: holder.id, digest, blobId, size: bytes.length, now, ...facts.row }
    await upsertManifest(tx, row, { blobIds, children: facts.children, missing })
    this.counts.manifests += 1
    return 'changed'
  }

  async #forgetManifest(tx: Transaction, { repository, watermark }: Look, digest: Digest): Promise<Outcome> {
    if (await isDigestTouched(tx, repository, digest, watermark)) return undefined
    const manifest = await findManifest(tx, repository, digest)
    if (!manifest) return undefined
    await deleteManifest(tx, manifest.id)
    this.counts.forgotten += 1
    return 'changed'
  }

  async blob(repository: RepositoryName, digest: Digest): Promise<void> {
    const { db, storage } = this.#options
    const look = this.#look(repository)
    const path = layerLink(repository, digest)
    const link = await this.#link(path)
    const known = await findRepositoryBlob(db, repository, digest)
    if (!known && (link === 'absent' || link === 'unreadable')) return
    const sha256 = known?.digest ?? (algorithmOf(digest) === 'sha256' ? digest : link)
    if (!isDigest(sha256) || algorithmOf(sha256) !== 'sha256')
      return this.#options.onBroken(LEADS_NOWHERE, path)
    const stat = await storage.stat(sha256)
    if (!stat) {
      await this.#change((tx) => this.#forgetBytes(tx, sha256, look), path)
    } else if (link === 'absent') {
      if (!(await this.#hasLink(repository, sha256)))
        await this.#change((tx) => this.#unlink(tx, look, sha256), path)
    } else if (!known || !isUnchanged(known, stat)) {
      if (digest === sha256 || (await this.#isAlias(digest, sha256)))
        await this.#change((tx) => this.#addBlob(tx, look, digest, sha256, stat), path)
      else this.#options.onBroken(LEADS_NOWHERE, path)
    }
  }

  /** Whether any name of the bytes has a link: registry:2 has one for each name that they were pushed by. */
  async #hasLink(repository: RepositoryName, sha256: Digest): Promise<boolean> {
    const { db, keys } = this.#options
    for (const name of await namesOf(db, sha256))
      if ((await keys.get(layerLink(repository, name))) !== undefined) return true
    return false
  }

  /** A link can say anything: bytes get another name only when they have that digest. */
  async #isAlias(digest: Digest, sha256: Digest): Promise<boolean> {
    const { db, storage } = this.#options
    if ((await findBlob(db, digest))?.digest === sha256) return true
    const reader = await storage.open(sha256)
    if (!reader) return false
    try {
      const hash = new DigestHash(algorithmOf(digest))
      for await (const chunk of reader.chunks()) hash.update(chunk)
      return hash.finish() === digest
    } finally {
      await reader.close()
    }
  }

  async #addBlob(
    tx: Transaction,
    { repository, watermark }: Look,
    digest: Digest,
    sha256: Digest,
    stat: BlobStat,
  ): Promise<Outcome> {
    if (await isAnyTouched(tx, repository, [digest, ...(await namesOf(tx, sha256))], watermark))
      return undefined
    const now = this.#options.now()
    const blob = await findBlob(tx, sha256)
    let id = blob?.id
    if (blob === undefined || id === undefined) {
      id = await upsertBlob(tx, { digest: sha256, size: stat.size, now, verifiedAt: null })
    } else {
      // What we began to delete before the last stop is deleted to the end: another program's link cannot hold it.
      if (blob.deleting) return undefined
      if (blob.condemnedAt !== null) await reviveBlob(tx, blob)
      if (!isUnchanged(blob, stat)) await setBlobFound(tx, id, stat.size)
    }
    if (digest !== sha256) await addBlobAlias(tx, digest, id)
    const holder = await ensureRepository(tx, repository, now)
    await linkBlob(tx, { repositoryId: holder.id, blobId: id, now })
    this.counts.blobs += 1
    return 'changed'
  }

  async #unlink(tx: Transaction, { repository, watermark }: Look, sha256: Digest): Promise<Outcome> {
    if (await isAnyTouched(tx, repository, await namesOf(tx, sha256), watermark)) return undefined
    const [holder, blob] = [await findRepository(tx, repository), await findBlob(tx, sha256)]
    if (!holder || !blob || !(await unlinkBlob(tx, holder.id, blob.id))) return undefined
    this.counts.forgotten += 1
    return 'changed'
  }

  /** Gone for every repository: another program's garbage collection, or a crash of it. */
  async #forgetBytes(tx: Transaction, sha256: Digest, look: Look): Promise<Outcome> {
    const blob = await findBlob(tx, sha256)
    // Verified since we looked: somebody has just pushed it.
    if (blob?.verifiedAt && blob.verifiedAt >= look.at) return undefined
    if (blob) {
      await forgetBlob(tx, blob.id)
      this.counts.forgotten += 1
    }
    return 'broken'
  }

  /** Whether stored bytes are those that were verified, as far as can be told without reading them. */
  async #isSound(sha256: Digest, size: number): Promise<boolean> {
    const { db, storage } = this.#options
    const stat = await storage.stat(sha256)
    const blob = stat?.size === size ? await findBlob(db, sha256) : undefined
    return stat !== undefined && blob?.verifiedAt != null && stat.modifiedAt <= blob.verifiedAt
  }

  #look(repository: RepositoryName): Look {
    return { repository, watermark: this.#options.watermark(), at: this.#options.now() }
  }

  /** In one transaction, so that no event of ours can come between the look and the change. */
  async #change(work: (tx: Transaction) => Promise<Outcome>, path: string): Promise<void> {
    const outcome = await this.#options.db.transaction(work, { durable: false })
    if (outcome === 'broken') this.#options.onBroken(LEADS_NOWHERE, path)
  }

  /** Read as leniently as registry:2 does. */
  async #link(path: string): Promise<Link> {
    const text = (await this.#options.keys.get(path))?.trim()
    if (text === undefined) return 'absent'
    if (isDigest(text)) return text
    this.#options.onBroken('the link is empty or no digest', path)
    return 'unreadable'
  }
}

const LEADS_NOWHERE = 'the link leads to nothing that can be served'

function isUnchanged(
  blob: { readonly size: number; readonly verifiedAt: number | null },
  stat: BlobStat,
): boolean {
  return blob.size === stat.size && (blob.verifiedAt === null || stat.modifiedAt <= blob.verifiedAt)
}

async function namesOf(db: Executor, sha256: Digest): Promise<Digest[]> {
  const blob = await findBlob(db, sha256)
  return blob ? [sha256, ...(await blobAliases(db, blob.id))] : [sha256]
}

/** An event names the bytes as its client did: in any of their algorithms. */
async function isAnyTouched(
  tx: Transaction,
  repository: RepositoryName,
  names: readonly Digest[],
  watermark: number,
): Promise<boolean> {
  for (const name of names) if (await isDigestTouched(tx, repository, name, watermark)) return true
  return false
}
