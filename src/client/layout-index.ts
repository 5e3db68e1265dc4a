// index.json of an OCI layout: which manifests the layout is about, and their names. Source: image-spec image-layout.md.
import { randomBytes } from 'node:crypto'
import { renameSync, statSync } from 'node:fs'
import { link, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { closeFile, openFile, removeFile } from '#blobs/file-calls.ts'
import { ClientError } from '#client/client-error.ts'
import { readDescriptor } from '#client/graph.ts'
import { pause } from '#client/pause.ts'
import { Mutex } from '#lib/mutex.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { OCI_INDEX } from '#oci/media-types.ts'
import { isObject } from '#oci/parse-descriptor.ts'
import type { Reference } from '#oci/reference.ts'

export const REF_NAME = 'org.opencontainers.image.ref.name'
/** containerd and docker write the full name here, and the tag alone in REF_NAME. */
const CONTAINERD_NAME = 'io.containerd.image.name'
export const LAYOUT_FILE = JSON.stringify({ imageLayoutVersion: '1.0.0' })

const INDEX_BYTES_MAX = 64 * 1024 * 1024
/** The lock is held for the time of one small write. A lock older than this belongs to a process that died. */
const LOCK_STALE_MS = 10_000
const LOCK_WAIT_MAX_MS = 30_000
const LOCK_POLL_MS = 20

export interface LayoutIndex {
  readonly manifests: readonly Descriptor[]
  /** Members that are not ours, kept as they are. */
  readonly rest: Readonly<Record<string, unknown>>
}

export function parseLayoutIndex(text: string, where: string): LayoutIndex {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new ClientError('invalid', `${where} is not JSON`, { cause })
  }
  if (!isObject(value) || (value['manifests'] !== undefined && !Array.isArray(value['manifests']))) {
    throw new ClientError('invalid', `${where} is not the index of a layout`)
  }
  const { manifests, ...rest } = value
  const entries = Array.isArray(manifests) ? manifests : []
  return { manifests: entries.map(readDescriptor).filter((entry) => entry !== undefined), rest }
}

export function formatLayoutIndex(index: LayoutIndex): string {
  return JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, ...index.rest, manifests: index.manifests })
}

/** What a reference names in a layout. Without one, the only manifest that the layout is about. */
export function findInIndex(
  index: LayoutIndex,
  reference: Reference | undefined,
  where: string,
): Descriptor | undefined {
  const { manifests } = index
  if (reference === undefined) {
    const named = manifests.filter((entry) => entry.annotations?.[REF_NAME] !== undefined)
    const candidates = new Map((named.length > 0 ? named : manifests).map((entry) => [entry.digest, entry]))
    if (candidates.size <= 1) return candidates.values().next().value
    const names = named.map((entry) => entry.annotations?.[REF_NAME]).join(', ')
    throw new ClientError('invalid', `${where} has ${candidates.size} images`, {
      hint: `name one of them${names ? `: ${names}` : ' by its digest'}`,
    })
  }
  if (reference.digest !== undefined) return manifests.find((entry) => entry.digest === reference.digest)
  const { tag } = reference
  return (
    // The last wins, as with other tools that only append.
    manifests.findLast((entry) => entry.annotations?.[REF_NAME] === tag) ??
    manifests.findLast((entry) => {
      const names = [entry.annotations?.[REF_NAME], entry.annotations?.[CONTAINERD_NAME]]
      return names.some((name) => name?.endsWith(`:${tag}`) === true)
    })
  )
}

/** The index with a manifest added: under a name, which then stands for nothing else, or without one. */
export function addToIndex(
  index: LayoutIndex,
  descriptor: Descriptor,
  name: string | undefined,
): LayoutIndex {
  const { annotations: _, ...bare } = descriptor
  const others = index.manifests.filter((entry) => {
    const entryName = entry.annotations?.[REF_NAME]
    if (name !== undefined && entryName === name) return false
    // One entry without a name is enough, and none is needed beside one with a name.
    return !(entry.digest === descriptor.digest && entryName === undefined && entry.annotations === undefined)
  })
  if (name === undefined && others.some((entry) => entry.digest === descriptor.digest))
    return { ...index, manifests: others }
  const entry: Descriptor = name === undefined ? bare : { ...bare, annotations: { [REF_NAME]: name } }
  return { ...index, manifests: [...others, entry] }
}

/** Reads and changes index.json: readers see the old or the new one, writers of several processes wait for each other. */
export class LayoutIndexFile {
  readonly #folder: string
  readonly #path: string
  readonly #mutex = new Mutex()
  /** What was read or written last: it is true for as long as the same file has that name. */
  #known: { readonly stamp: string; readonly index: LayoutIndex } | undefined

  constructor(folder: string) {
    this.#folder = folder
    this.#path = join(folder, 'index.json')
  }

  async read(): Promise<LayoutIndex> {
    const found = this.#look()
    if (found === undefined) return { manifests: [], rest: {} }
    if (this.#known?.stamp === found.stamp) return this.#known.index
    if (found.size > INDEX_BYTES_MAX)
      throw new ClientError('limit', `${this.#path} is larger than ${INDEX_BYTES_MAX} bytes`)
    const index = parseLayoutIndex(await readFile(this.#path, 'utf8'), this.#path)
    // What another program wrote in between was perhaps read, perhaps not.
    this.#known = this.#look()?.stamp === found.stamp ? { stamp: found.stamp, index } : undefined
    return index
  }

  /** At once: a trip through the pool costs ten times the call. */
  #look(): { readonly size: number; readonly stamp: string } | undefined {
    const found = statSync(this.#path, { bigint: true, throwIfNoEntry: false })
    if (!found) return undefined
    return { size: Number(found.size), stamp: `${found.dev} ${found.ino} ${found.ctimeNs} ${found.size}` }
  }

  async change(edit: (index: LayoutIndex) => LayoutIndex, signal: AbortSignal | undefined): Promise<void> {
    await this.#mutex.run(async () => {
      const unlock = await this.#lock(signal)
      try {
        const index = edit(await this.read())
        await replaceFile(this.#folder, this.#path, formatLayoutIndex(index))
        const stamp = this.#look()?.stamp
        this.#known = stamp === undefined ? undefined : { stamp, index }
      } finally {
        await unlock()
      }
    })
  }

  async #lock(signal: AbortSignal | undefined): Promise<() => Promise<void>> {
    const path = `${this.#path}.lock`
    const deadline = performance.now() + LOCK_WAIT_MAX_MS
    for (;;) {
      signal?.throwIfAborted()
      try {
        await closeFile(await openFile(path, 'wx'), 0)
        return async () => void (await removeFile(path).catch(absent))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      await breakStaleLock(path)
      if (performance.now() > deadline) {
        throw new ClientError('invalid', `another program keeps ${path} locked`, {
          hint: 'end it, or remove the lock when no other program uses this folder',
        })
      }
      await pause(LOCK_POLL_MS, signal)
    }
  }
}

/** Takes a lock away whose owner died. A lock that turns out to be a new one is put back. */
async function breakStaleLock(path: string): Promise<void> {
  const judged = await stat(path).catch(absent)
  if (!judged || Date.now() - judged.mtimeMs < LOCK_STALE_MS) return
  const aside = `${path}.${randomBytes(6).toString('hex')}`
  try {
    await rename(path, aside)
  } catch {
    return
  }
  const taken = await stat(aside).catch(absent)
  if (taken && taken.ino !== judged.ino) await link(aside, path).catch(() => {})
  await rm(aside, { force: true })
}

/** Writes a file so that it is there as a whole or not at all. */
export async function replaceFile(folder: string, path: string, text: string): Promise<void> {
  const temporary = join(folder, `.${randomBytes(8).toString('hex')}.tmp`)
  try {
    await writeFile(temporary, text, { flag: 'wx' })
    renameSync(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** For `.catch`: a file that is not there is undefined, anything else is an error. */
export function absent(error: unknown): undefined {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
  throw error
}
