// A large file with content that no registry has seen: a bulk layer.
import { createHash, randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { RegistryServer } from '../../processes/registry-server.ts'

const STEP_BYTES = 4 * 1024 * 1024

/** Writes a file of `bytes` that compresses badly and repeats after 4 MiB. */
export function writeBulkFile(path: string, bytes: number): void {
  const step = randomBytes(STEP_BYTES)
  const file = openSync(path, 'w')
  try {
    for (let at = 0; at < bytes; at += step.length)
      writeSync(file, step, 0, Math.min(step.length, bytes - at))
  } finally {
    closeSync(file)
  }
}

/** Changes the beginning, so that the content is new, and returns its digest. */
export function renewBulkFile(path: string): string {
  const file = openSync(path, 'r+')
  try {
    writeSync(file, randomBytes(64), 0, 64, 0)
    const hash = createHash('sha256')
    const step = Buffer.allocUnsafe(STEP_BYTES)
    for (let at = 0; ; ) {
      const count = readSync(file, step, 0, step.length, at)
      if (count === 0) return `sha256:${hash.digest('hex')}`
      hash.update(step.subarray(0, count))
      at += count
    }
  } finally {
    closeSync(file)
  }
}

/** Where registry:2 and we keep the bytes of a blob. */
function storedPath(server: RegistryServer, digest: string): string {
  const hex = digest.slice('sha256:'.length)
  const store = server.store ?? join(server.folder, 'data')
  return join(store, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data')
}

/** @throws Error when the registry that acknowledged a push does not have all of its bytes on disk */
export async function assertStored(server: RegistryServer, digest: string, bytes: number): Promise<void> {
  const { size } = await stat(storedPath(server, digest))
  if (size !== bytes) throw new Error(`${server.kind} stored ${size} of ${bytes} bytes of ${digest}`)
}

/** Frees the space of a blob that has been deleted in the registry, which keeps bytes until it collects garbage. */
export async function freeStored(server: RegistryServer, digest: string): Promise<void> {
  await rm(storedPath(server, digest), { force: true })
}
