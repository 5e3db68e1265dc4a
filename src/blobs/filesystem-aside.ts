// Blobs that are taken out of their place while it is made sure that another tier has them.
import { makeFolder } from '#blobs/file-calls.ts'
import { batches, removeIfEmpty, removeIfThere, renameIfThere, statIfFile } from '#blobs/folders.ts'
import { ASIDE_FOLDER, asidePath, blobFolder, blobPath, isAsideName } from '#blobs/layout.ts'
import type { KeyedMutex } from '#lib/keyed-mutex.ts'
import { type Digest, digestFrom } from '#oci/digest.ts'

/** What the store knows about the folder of a blob. */
interface BlobFolders {
  make(digest: Digest): Promise<unknown>
  /** Makes its name durable. */
  sync(digest: Digest): Promise<void>
}

export class FilesystemAside {
  readonly #root: string
  readonly #changing: KeyedMutex<Digest>
  readonly #folders: BlobFolders

  constructor(root: string, changing: KeyedMutex<Digest>, folders: BlobFolders) {
    this.#root = root
    this.#changing = changing
    this.#folders = folders
  }

  /** Takes a blob out of its place, whole; absent is fine. */
  take(digest: Digest): Promise<void> {
    return this.#changing.run(digest, async () => {
      await makeFolder(this.#at(ASIDE_FOLDER), { recursive: true })
      await renameIfThere(this.#at(blobPath(digest)), this.#at(asidePath(digest)))
      await removeIfEmpty(this.#at(blobFolder(digest)))
    })
  }

  /** Puts it back, unless somebody has stored the blob anew. */
  putBack(digest: Digest): Promise<void> {
    return this.#changing.run(digest, async () => {
      const [aside, path] = [this.#at(asidePath(digest)), this.#at(blobPath(digest))]
      if (await statIfFile(path)) return removeIfThere(aside)
      await this.#folders.make(digest)
      await renameIfThere(aside, path)
      await this.#folders.sync(digest)
    })
  }

  drop(digest: Digest): Promise<void> {
    return this.#changing.run(digest, () => removeIfThere(this.#at(asidePath(digest))))
  }

  /** Those that were taken out, and neither dropped nor put back. */
  async *list(): AsyncGenerator<Digest> {
    for await (const names of batches(this.#at(ASIDE_FOLDER), isAsideName))
      for (const name of names) yield digestFrom('sha256', name)
  }

  #at(path: string): string {
    return `${this.#root}/${path}`
  }
}
