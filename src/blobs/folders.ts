// Calls on files and folders for which absence is an answer.
import type fs from 'node:fs'
import { opendir } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  errorCode,
  isAbsent,
  makeFolder,
  removeFile,
  removeFolder,
  renameFile,
  statFile,
  syncFolder,
} from '#blobs/file-calls.ts'

/** Files asked about at the same time while listing: the pool has work, and other requests still get their turn. */
const STATS_AT_ONCE = 32

export async function statIfFile(path: string): Promise<fs.Stats | undefined> {
  try {
    const stat = await statFile(path)
    return stat.isFile() ? stat : undefined
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

export async function renameIfThere(from: string, to: string): Promise<void> {
  try {
    await renameFile(from, to)
  } catch (error) {
    if (!isAbsent(error)) throw error
  }
}

export async function removeIfThere(path: string): Promise<void> {
  try {
    await removeFile(path)
  } catch (error) {
    if (!isAbsent(error)) throw error
  }
}

export async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await removeFolder(folder)
  } catch (error) {
    if (!isAbsent(error) && errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error
  }
}

/** The names in a folder that are wanted, some at a time; none when it is absent or a file. */
export async function* batches(folder: string, wanted: (name: string) => boolean): AsyncGenerator<string[]> {
  let batch: string[] = []
  try {
    for await (const entry of await opendir(folder, { bufferSize: STATS_AT_ONCE })) {
      if (!wanted(entry.name)) continue
      batch.push(entry.name)
      if (batch.length < STATS_AT_ONCE) continue
      yield batch
      batch = []
    }
  } catch (error) {
    if (!isAbsent(error)) throw error
  }
  if (batch.length > 0) yield batch
}

/** Makes a folder and those above it, and syncs every folder that got a new name in it. */
export async function makeFolderDurably(folder: string): Promise<void> {
  const first = await makeFolder(folder, { recursive: true })
  if (first === undefined) return
  for (let made = folder; ; made = dirname(made)) {
    await syncFolder(dirname(made))
    if (made === first) return
  }
}
