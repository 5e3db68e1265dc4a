// Link files of a tree on disk. Readers see the old text or the new one, never half of one.
import fs from 'node:fs'
import { opendir, realpath, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  errorCode,
  isAbsent,
  makeFolder,
  openFile,
  readInto,
  removeFile,
  statFile,
  storageFailure,
  syncData,
  syncFolder,
  writeChunks,
} from '#blobs/file-calls.ts'
import { checkKeyPath, KEY_BYTES_MAX, keyBytes } from '#blobs/key-path.ts'
import type { Batching, Durable, KeyChange, KeyEntry, KeyStore, Linked } from '#blobs/keys.ts'
import { uploadPath } from '#blobs/layout.ts'
import { LinkWriter } from '#blobs/link-writer.ts'

/** Opening a pipe in the place of a link would wait for a writer. */
const READ_AT_ONCE = fs.constants.O_RDONLY | fs.constants.O_NONBLOCK
/** Entries that are fetched from a folder at a time. */
const ENTRIES_AT_ONCE = 128

export class FilesystemKeys implements KeyStore, Batching, Durable, Linked {
  readonly #root: string
  readonly #temporaryId: () => string
  readonly #writer = new LinkWriter()

  /** Root is an open filesystem storage; temporaryId gives a new upload id each time. */
  constructor(root: string, temporaryId: () => string) {
    this.#root = root
    this.#temporaryId = temporaryId
  }

  async get(path: string): Promise<string | undefined> {
    let fd: number
    try {
      fd = await openFile(this.#at(path), READ_AT_ONCE)
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw error
    }
    try {
      const buffer = Buffer.allocUnsafe(KEY_BYTES_MAX)
      return buffer.toString('utf8', 0, await readInto(fd, buffer, KEY_BYTES_MAX, 0))
    } catch (error) {
      if (errorCode(error) === 'EISDIR' || errorCode(error) === 'ESPIPE') return undefined
      throw error
    } finally {
      fs.closeSync(fd)
    }
  }

  /**
   * Written among the uploads and renamed: a crash leaves nothing in registry:2's tree, and the upload sweeper finds the
   * rest. Nothing is synced. The folders are there more often than not, so they are made only when the rename misses them.
   */
  async put(path: string, text: string): Promise<void> {
    const target = this.#at(path)
    const bytes = keyBytes(text)
    const temporary = `${this.#root}/${uploadPath(this.#temporaryId())}`
    try {
      await writeKey(temporary, bytes)
      try {
        fs.renameSync(temporary, target)
      } catch (error) {
        if (errorCode(error) !== 'ENOENT') throw error
        await makeFolder(dirname(target), { recursive: true })
        fs.renameSync(temporary, target)
      }
    } catch (error) {
      await removeFile(temporary).catch(() => {})
      throw storageFailure(error)
    }
  }

  apply(changes: readonly KeyChange[]): Promise<void> {
    return this.#writer.apply(changes.map((change) => ({ ...change, path: this.#at(change.path) })))
  }

  async sync(path: string): Promise<void> {
    const target = this.#at(path)
    await syncFile(target)
    await syncFolder(dirname(target))
  }

  close(): Promise<void> {
    return this.#writer.close()
  }

  async remove(path: string): Promise<void> {
    try {
      await rm(this.#at(path), { recursive: true, force: true })
    } catch (error) {
      if (!isAbsent(error)) throw error
    }
  }

  async *list(path: string): AsyncGenerator<KeyEntry> {
    const folder = this.#at(path)
    try {
      for await (const entry of await opendir(folder, { bufferSize: ENTRIES_AT_ONCE }))
        if (!entry.isSymbolicLink()) yield { name: entry.name, directory: entry.isDirectory() }
        else yield await followed(folder, entry.name)
    } catch (error) {
      if (!isAbsent(error)) throw error
    }
  }

  async modifiedAt(path: string): Promise<number | undefined> {
    try {
      const stat = await statFile(this.#at(path))
      return stat.isFile() ? stat.mtimeMs : undefined
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw error
    }
  }

  async real(path: string): Promise<string | undefined> {
    try {
      return await realpath(this.#at(path))
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw error
    }
  }

  #at(path: string): string {
    return `${this.#root}/${checkKeyPath(path)}`
  }
}

/** What a symbolic link stands for; one that leads nowhere, or round in a circle, for nothing. */
async function followed(folder: string, name: string): Promise<KeyEntry> {
  const isFolder = await statFile(`${folder}/${name}`).then(
    (stat) => stat.isDirectory(),
    () => false,
  )
  return isFolder ? { name, directory: true, link: true } : { name, directory: false }
}

async function syncFile(path: string): Promise<void> {
  const fd = await openFile(path, 'r')
  try {
    await syncData(fd)
  } finally {
    fs.closeSync(fd)
  }
}

async function writeKey(path: string, bytes: Uint8Array): Promise<void> {
  const fd = await openFile(path, 'w')
  try {
    await writeChunks(fd, [bytes], 0)
  } finally {
    fs.closeSync(fd)
  }
}
