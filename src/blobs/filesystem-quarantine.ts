// Bytes that are not what they were called, out of the way and kept.
import { openReader } from '#blobs/file-reader.ts'
import { makeFolderDurably, removeIfEmpty, removeIfThere, renameIfThere, statIfFile } from '#blobs/folders.ts'
import { readsAs } from '#blobs/has-digest.ts'
import { blobFolder, blobPath, QUARANTINE_FOLDER, quarantinePath } from '#blobs/layout.ts'
import type { KeyedMutex } from '#lib/keyed-mutex.ts'
import type { Digest } from '#oci/digest.ts'

export class FilesystemQuarantine {
  readonly #root: string
  readonly #changing: KeyedMutex<Digest>

  constructor(root: string, changing: KeyedMutex<Digest>) {
    this.#root = root
    this.#changing = changing
  }

  /** Out of its place, and back again where it is good: a push may have replaced what was hashed before. */
  take(digest: Digest, at: number): Promise<string | undefined> {
    return this.#changing.run(digest, async () => {
      const [path, aside] = [this.#at(blobPath(digest)), this.#at(quarantinePath(digest, at))]
      if (!(await statIfFile(path))) return undefined
      await makeFolderDurably(this.#at(QUARANTINE_FOLDER))
      await renameIfThere(path, aside)
      const reader = await openReader(aside)
      if (!reader || !(await readsAs(reader, digest))) {
        await removeIfEmpty(this.#at(blobFolder(digest)))
        return aside
      }
      if (await statIfFile(path)) await removeIfThere(aside)
      else await renameIfThere(aside, path)
      return undefined
    })
  }

  #at(path: string): string {
    return `${this.#root}/${path}`
  }
}
