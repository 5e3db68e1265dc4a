// A small disk that fills up: a clear refusal, nothing torn, and service again when there is space.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { digestOf } from '#oci/digest.ts'
import { restartRegistry, startRegistry } from '../processes/registry-server.ts'
import { seededRandom } from './seeded-random.ts'
import { checkFolder } from './verify.ts'

const DISK = '24m'
const FILLER_BYTES = 8 * 1024 * 1024
const BLOB_BYTES = 512 * 1024
const PUSHES_MAX = 100
const SMALL_PUSHES = 400

export interface DiskReport {
  readonly skipped?: string
  readonly stored: number
  readonly refused: number
  readonly faults: readonly string[]
}

async function post(url: string, bytes: Buffer): Promise<Response> {
  return fetch(new URL(`/v2/full/app/blobs/uploads/?digest=${digestOf(bytes)}`, url), {
    method: 'POST',
    body: new Uint8Array(bytes),
  })
}

/** Needs root, to mount. */
export async function diskFullRun(seed: number): Promise<DiskReport> {
  if (process.getuid?.() !== 0)
    return { skipped: 'mounting a small disk needs root', stored: 0, refused: 0, faults: [] }
  const disk = mkdtempSync(join(tmpdir(), 'stowage-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', disk])
  try {
    return await fill(disk, seed)
  } finally {
    execFileSync('umount', [disk])
    rmSync(disk, { recursive: true })
  }
}

async function fill(disk: string, seed: number): Promise<DiskReport> {
  const random = seededRandom(seed)
  const faults: string[] = []
  const filler = join(disk, 'filler')
  writeFileSync(filler, Buffer.alloc(FILLER_BYTES))
  let server = await startRegistry('stowage', { parent: disk })
  const stored = new Map<string, Buffer>()
  let refused = 0
  const take = async (bytes: Buffer) => {
    const response = await post(server.url, bytes)
    const text = await response.text()
    if (response.status === 201) stored.set(digestOf(bytes), bytes)
    else {
      refused += 1
      if (response.status !== 507 && response.status !== 503)
        faults.push(`a full disk is answered ${response.status}: ${text}`)
      else if (!text.includes('"errors"')) faults.push(`no envelope: ${text}`)
    }
  }
  const readAll = async () => {
    for (const [digest, bytes] of stored) {
      const response = await fetch(new URL(`/v2/full/app/blobs/${digest}`, server.url))
      const got = Buffer.from(await response.arrayBuffer())
      if (response.status !== 200 || !got.equals(bytes))
        faults.push(`${digest} cannot be read: ${response.status}`)
    }
  }
  try {
    for (let push = 0; push < PUSHES_MAX && refused < 3; push++) await take(random.bytes(BLOB_BYTES))
    // Small ones find the last room, until the database itself has none.
    for (let push = 0; push < SMALL_PUSHES; push++) await take(random.bytes(600))
    if (refused === 0) faults.push('the disk never filled up')
    await readAll()
    rmSync(filler)
    const before = stored.size
    for (let attempt = 0; attempt < 20 && stored.size === before; attempt++) {
      await take(random.bytes(BLOB_BYTES))
      if (stored.size === before) await sleep(250)
    }
    if (stored.size === before) faults.push('no service after space came back')
    await readAll()
    await server.process.kill()
    server = await restartRegistry(server)
    await readAll()
    await server.process.stop()
    faults.push(...checkFolder(`${server.folder}/data`))
  } finally {
    await server.process.stop()
  }
  return { stored: stored.size, refused, faults }
}
