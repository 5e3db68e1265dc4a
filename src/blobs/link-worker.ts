// Writes batches of link files on a thread of its own, with plain calls: each trip through the pool would cost more than
// the call, and making folders can wait for the disk's journal, which the event loop must not.
import fs from 'node:fs'
import { dirname } from 'node:path'
import { parentPort } from 'node:worker_threads'
import type { KeyChange } from '#blobs/keys.ts'

export interface LinkBatch {
  readonly id: number
  /** Paths are absolute, and checked by who sends them. */
  readonly changes: readonly KeyChange[]
}

export interface LinkAnswer {
  readonly id: number
  /** Absent when all went well. */
  readonly failure?: { readonly message: string; readonly code: string | undefined }
}

// Most links are the first in their folder, which an error tells: nobody reads its stack, and capturing it costs more than
// making the folder.
Error.stackTraceLimit = 0

const NEW_FILE = { flag: 'wx' } as const
const IN_THE_WAY = new Set(['ENOTDIR', 'EISDIR', 'EEXIST', 'ELOOP'])

/** A text that is there is replaced whole: an end in between must not take a good one with it. */
function write(path: string, text: string): void {
  try {
    writeOrReplace(path, text)
  } catch (error) {
    const code = codeOf(error)
    if (code !== 'ENOENT') {
      if (!code || !IN_THE_WAY.has(code)) throw error
      clearWay(path)
    }
    writeInNewFolder(path, text)
  }
}

function writeOrReplace(path: string, text: string): void {
  try {
    fs.writeFileSync(path, text, NEW_FILE)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    const next = `${path}.next`
    fs.writeFileSync(next, text)
    try {
      fs.renameSync(next, path)
    } catch (failure) {
      fs.rmSync(next, { force: true })
      throw failure
    }
  }
}

function writeInNewFolder(path: string, text: string): void {
  try {
    fs.mkdirSync(dirname(path), { recursive: true })
  } catch (error) {
    // A link that leads nowhere is absent to a write, and in the way of a folder.
    if (!IN_THE_WAY.has(codeOf(error) ?? '') && codeOf(error) !== 'ENOENT') throw error
    clearWay(path)
    fs.mkdirSync(dirname(path), { recursive: true })
  }
  fs.writeFileSync(path, text)
}

/**
 * Removes the junk that stands where a link or one of its folders must be: a batch that could never be written would hold
 * up all that come after it.
 */
function clearWay(path: string): void {
  if (lookAt(path)) {
    fs.rmSync(path, { recursive: true, force: true })
    return
  }
  for (let above = dirname(path); above !== dirname(above); above = dirname(above)) {
    const found = lookAt(above)
    if (!found) continue
    if (found !== 'folder') fs.rmSync(above, { force: true })
    return
  }
}

function remove(path: string): void {
  try {
    fs.rmSync(path, { recursive: true, force: true })
  } catch (error) {
    // Below a file there is nothing to remove.
    if (codeOf(error) !== 'ENOTDIR') throw error
  }
}

function lookAt(path: string): 'folder' | 'other' | undefined {
  try {
    fs.lstatSync(path)
  } catch {
    return undefined
  }
  try {
    return fs.statSync(path).isDirectory() ? 'folder' : 'other'
  } catch {
    return 'other'
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}

function answer({ id, changes }: LinkBatch): LinkAnswer {
  try {
    for (const { path, text } of changes) {
      if (text === undefined) remove(path)
      else write(path, text)
    }
    return { id }
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    return { id, failure: { message, code } }
  }
}

const port = parentPort
port?.on('message', (batch: LinkBatch | 'close') => {
  if (batch === 'close') port.close()
  else port.postMessage(answer(batch))
})
