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

function write(path: string, text: string): void {
  try {
    fs.writeFileSync(path, text)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    fs.mkdirSync(dirname(path), { recursive: true })
    fs.writeFileSync(path, text)
  }
}

function answer({ id, changes }: LinkBatch): LinkAnswer {
  try {
    for (const { path, text } of changes) {
      if (text === undefined) fs.rmSync(path, { recursive: true, force: true })
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
