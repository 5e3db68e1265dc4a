// Hashes every blob of a folder of a registry. A run that was cut off goes on where it stopped: what was hashed is noted
// in a file, one line for each blob, and counts as long as the blob's size and time are the same.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { appendFile, mkdir, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { RegistryTree, TreeBlob } from '#maintenance/registry-tree.ts'
import { type Digest, encodedOf, isDigest } from '#oci/digest.ts'

const READ_BYTES = 1024 * 1024
/** Lines that are kept back before they are written. */
const NOTED_LINES_MAX = 64
const NOTED_MS_MAX = 2_000
const HASHED_AT_ONCE = 2

export interface VerifyTreeOptions {
  /** Where it is noted what was hashed; removed when the whole was. */
  readonly notes: string
  readonly signal?: AbortSignal | undefined
  /** The blobs that will be hashed or were hashed by the run before. */
  readonly onStart?: ((blobs: number, bytes: number, doneBytes: number) => void) | undefined
  readonly onBytes?: ((bytes: number) => void) | undefined
  readonly onBlob?: ((blob: TreeBlob, sound: boolean) => void) | undefined
}

export interface TreeVerification {
  readonly blobs: number
  readonly bytes: number
  /** Of the blobs, those that an earlier run had hashed. */
  readonly resumed: number
  /** Blobs with bytes of another digest, those of the earlier run included. */
  readonly corrupt: readonly Digest[]
}

/** @throws the reason of the signal; an error of the system when a blob cannot be read */
export async function verifyTree(tree: RegistryTree, options: VerifyTreeOptions): Promise<TreeVerification> {
  const { signal } = options
  const notes = new Notes(options.notes)
  await notes.read()
  const waiting: TreeBlob[] = []
  const corrupt = new Set<Digest>()
  let bytes = 0
  let doneBytes = 0
  let resumed = 0
  for await (const blob of tree.blobs()) {
    signal?.throwIfAborted()
    bytes += blob.size
    const sound = notes.verdict(blob)
    if (sound === undefined) waiting.push(blob)
    else {
      resumed += 1
      doneBytes += blob.size
      if (!sound) corrupt.add(blob.digest)
    }
  }
  options.onStart?.(waiting.length + resumed, bytes, doneBytes)
  const left = waiting.values()
  let failed = false
  const worker = async () => {
    for (const blob of left) {
      if (failed) return
      const sound = (await hashOf(tree.pathOf(blob.digest), options)) === encodedOf(blob.digest)
      if (!sound) corrupt.add(blob.digest)
      await notes.add(blob, sound)
      options.onBlob?.(blob, sound)
    }
  }
  const workers = Array.from({ length: HASHED_AT_ONCE }, worker)
  try {
    await Promise.all(workers)
  } catch (error) {
    failed = true
    await Promise.allSettled(workers)
    await notes.flush()
    throw error
  }
  await notes.remove()
  return { blobs: waiting.length + resumed, bytes, resumed, corrupt: [...corrupt].sort() }
}

async function hashOf(path: string, { signal, onBytes }: VerifyTreeOptions): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES })) {
    signal?.throwIfAborted()
    hash.update(chunk)
    onBytes?.(chunk.length)
  }
  return hash.digest('hex')
}

/** `<digest> <bytes> <milliseconds> ok|bad` */
const LINE = /^(sha256:[0-9a-f]{64}) (\d+) (\d+) (ok|bad)$/

class Notes {
  readonly #path: string
  readonly #known = new Map<
    Digest,
    { readonly size: number; readonly modifiedAt: number; readonly sound: boolean }
  >()
  #lines: string[] = []
  #writtenAt = performance.now()

  constructor(path: string) {
    this.#path = path
  }

  async read(): Promise<void> {
    const text = await readFile(this.#path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return ''
      throw error
    })
    for (const line of text.split('\n')) {
      // A line that a crash cut short counts for nothing.
      const [, digest = '', size, modifiedAt, verdict] = LINE.exec(line) ?? []
      if (isDigest(digest))
        this.#known.set(digest, {
          size: Number(size),
          modifiedAt: Number(modifiedAt),
          sound: verdict === 'ok',
        })
    }
  }

  verdict(blob: TreeBlob): boolean | undefined {
    const known = this.#known.get(blob.digest)
    return known?.size === blob.size && known.modifiedAt === blob.modifiedAt ? known.sound : undefined
  }

  async add({ digest, size, modifiedAt }: TreeBlob, sound: boolean): Promise<void> {
    this.#lines.push(`${digest} ${size} ${modifiedAt} ${sound ? 'ok' : 'bad'}\n`)
    const isDue = performance.now() - this.#writtenAt > NOTED_MS_MAX
    if (isDue || this.#lines.length >= NOTED_LINES_MAX) await this.flush()
  }

  async flush(): Promise<void> {
    const text = this.#lines.join('')
    this.#lines = []
    this.#writtenAt = performance.now()
    if (text === '') return
    await mkdir(dirname(this.#path), { recursive: true })
    await appendFile(this.#path, text)
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true })
  }
}
