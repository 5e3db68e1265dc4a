// A tree of link files in memory beside empty facts, as another program would have left it: for tests.
import type { KeyEntry, KeyStore, Linked } from '#blobs/keys.ts'
import { layerLink, revisionLink, tagCurrentLink } from '#blobs/layout.ts'
import { MemoryStorage } from '#blobs/memory.ts'
import { findBlob, linkBlob, upsertBlob } from '#db/blobs.ts'
import type { Db, Transaction } from '#db/db.ts'
import { insertEvent } from '#db/events.ts'
import { findManifest, upsertManifest } from '#db/manifests.ts'
import { ensureRepository } from '#db/repositories.ts'
import { openSqlite } from '#db/sqlite.ts'
import { setTag } from '#db/tags.ts'
import { TreePass } from '#maintenance/tree-pass.ts'
import { type Digest, digestOf } from '#oci/digest.ts'
import { OCI_CONFIG, OCI_MANIFEST } from '#oci/media-types.ts'
import { parseRepositoryName, parseTag, type RepositoryName } from '#oci/reference.ts'
import type { Log } from '#telemetry/log.ts'

export const APP = parseRepositoryName('team/app')
export const TAG = parseTag('1.0')

/** Passes everything on, and lets a test act between the look at a link and what is made of it. */
class WatchedKeys implements KeyStore, Linked {
  readonly #keys: KeyStore & Linked
  afterLook: ((path: string) => Promise<void>) | undefined
  /** Folders whose listing fails, as that of a disk with faults does. */
  readonly unreadable = new Set<string>()

  constructor(keys: KeyStore & Linked) {
    this.#keys = keys
  }
  async get(path: string): Promise<string | undefined> {
    const text = await this.#keys.get(path)
    await this.afterLook?.(path)
    return text
  }
  put(path: string, text: string): Promise<void> {
    return this.#keys.put(path, text)
  }
  remove(path: string): Promise<void> {
    return this.#keys.remove(path)
  }
  async *list(path: string): AsyncIterable<KeyEntry> {
    if (this.unreadable.has(path)) throw new Error(`EIO: i/o error, opendir '${path}'`)
    yield* this.#keys.list(path)
  }
  modifiedAt(path: string): Promise<number | undefined> {
    return this.#keys.modifiedAt(path)
  }
  real(path: string): Promise<string | undefined> {
    return this.#keys.real(path)
  }
}

export interface Made {
  readonly digest: Digest
  readonly layer: Digest
}

export class TreeUnderTest {
  readonly db: Db
  readonly storage = new MemoryStorage({ bytesMax: 64 * 1024 * 1024, now: () => this.now })
  readonly keys = new WatchedKeys(this.storage.keys)
  readonly warnings: string[] = []
  readonly errors: string[] = []
  /** Milliseconds since 1970. */
  now = 1_000_000
  watermark = 0
  pass: TreePass

  private constructor(db: Db) {
    this.db = db
    this.pass = this.newPass()
  }

  static async open(): Promise<TreeUnderTest> {
    return new TreeUnderTest(await openSqlite())
  }

  /** As after another start. */
  newPass(): TreePass {
    const { db, storage, keys } = this
    const log = this.#log()
    this.pass = new TreePass({ db, storage, keys, log, now: () => this.now, watermark: () => this.watermark })
    return this.pass
  }

  #log(): Log {
    const log: Log = {
      debug() {},
      info() {},
      warn: (message, fields) => void this.warnings.push(`${message} ${JSON.stringify(fields)}`),
      error: (message, fields) => void this.errors.push(`${message} ${JSON.stringify(fields)}`),
      enabled: () => true,
      child: () => log,
    }
    return log
  }

  async bytes(text: string | Buffer): Promise<Digest> {
    const bytes = Buffer.from(text)
    const digest = digestOf(bytes)
    await this.storage.put(digest, bytes)
    return digest
  }

  /** An image with one layer, as registry:2 leaves it: bytes and links. */
  async image(text: string, tags: readonly string[] = [], repository: RepositoryName = APP): Promise<Made> {
    const layer = await this.bytes(`layer of ${text}`)
    const config = await this.bytes(JSON.stringify({ made: text }))
    for (const blob of [layer, config]) await this.keys.put(layerLink(repository, blob), blob)
    const digest = await this.bytes(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: { mediaType: OCI_CONFIG, digest: config, size: JSON.stringify({ made: text }).length },
        layers: [
          {
            mediaType: 'application/octet-stream',
            digest: layer,
            size: Buffer.byteLength(`layer of ${text}`),
          },
        ],
      }),
    )
    await this.keys.put(revisionLink(repository, digest), digest)
    for (const tag of tags) await this.keys.put(tagCurrentLink(repository, parseTag(tag)), digest)
    return { digest, layer }
  }

  /** A push of ours whose link files are not written yet: bytes, facts and event. */
  async push(text: string, tag: string): Promise<Digest> {
    const digest = await this.bytes(text)
    await this.db.transaction(async (tx) => {
      const holder = await ensureRepository(tx, APP, this.now)
      const size = Buffer.byteLength(text)
      const blobId = await upsertBlob(tx, { digest, size, now: this.now, verifiedAt: this.now })
      const row = { mediaType: OCI_MANIFEST, size, artifactType: null, subject: null, annotations: null }
      const manifestId = await upsertManifest(
        tx,
        { repositoryId: holder.id, digest, blobId, now: this.now, ...row },
        { blobIds: [], children: [], missing: [] },
      )
      await setTag(tx, { repositoryId: holder.id, name: tag, manifestId, now: this.now })
      await this.event(tx, 'manifest.pushed', digest, tag)
    })
    return digest
  }

  /** A blob push of ours, by whatever digest its client chose. */
  async pushBlob(text: string, name?: Digest): Promise<Digest> {
    const digest = await this.bytes(text)
    await this.db.transaction(async (tx) => {
      const holder = await ensureRepository(tx, APP, this.now)
      const size = Buffer.byteLength(text)
      const blobId = await upsertBlob(tx, { digest, size, now: this.now, verifiedAt: this.now })
      await linkBlob(tx, { repositoryId: holder.id, blobId, now: this.now })
      await this.event(tx, 'blob.pushed', name ?? digest, null)
    })
    return digest
  }

  event(tx: Transaction, kind: string, digest: string | null, tag: string | null): Promise<void> {
    return insertEvent(tx, {
      at: this.now,
      kind,
      repository: APP,
      digest,
      tag,
      mediaType: null,
      size: null,
      fromRepository: null,
      actor: null,
      remote: null,
      userAgent: null,
      requestId: null,
      durationMs: null,
      method: null,
      origin: null,
    })
  }

  /** Which of a manifest's blobs its row refers to: what keeps them from being collected. */
  async blobsOfManifest(digest: Digest): Promise<Digest[]> {
    const manifest = await findManifest(this.db, APP, digest)
    const rows = await this.db.kysely
      .selectFrom('manifest_blobs as mb')
      .innerJoin('blobs as b', 'b.id', 'mb.blob_id')
      .select('b.digest')
      .where('mb.manifest_id', '=', manifest?.id ?? 0)
      .orderBy('b.digest')
      .execute()
    return rows.map((row) => row.digest as Digest)
  }

  async knows(digest: Digest): Promise<boolean> {
    return (await findBlob(this.db, digest)) !== undefined
  }

  close(): Promise<void> {
    return this.db.close()
  }
}
