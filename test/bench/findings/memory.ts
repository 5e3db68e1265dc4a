// Resident memory: idle, and at the most while many large layers go in and out at once.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type ClientRequest, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { memoryOf, untilQuiet } from '../../processes/usage.ts'
import { closingPath } from '../load/registry-client.ts'
import type { Side } from '../scenario.ts'
import type { Finding } from './finding.ts'

const MiB = 1024 * 1024
const IDLE_AFTER_MS = 2_000
const REPOSITORY = 'bench/memory'
const CHUNK = randomBytes(MiB)

export interface Crowd {
  /** Uploads, and as many downloads beside them. */
  readonly transfers: number
  /** A multiple of 1 MiB. */
  readonly bytesEach: number
}

/** Writes a head that makes the content unique, then the same MiB again and again. Returns the digest. */
async function writeBody(out: ClientRequest, bytes: number): Promise<string> {
  const hash = createHash('sha256')
  const head = Buffer.concat([randomBytes(64), CHUNK.subarray(64)])
  for (let at = 0; at < bytes; at += MiB) {
    const chunk = at === 0 ? head : CHUNK
    hash.update(chunk)
    if (!out.write(chunk)) await once(out, 'drain')
  }
  out.end()
  return `sha256:${hash.digest('hex')}`
}

/** One upload in one stream. Returns its digest. */
export async function upload(side: Side, bytes: number): Promise<string> {
  const path = await side.client.openUpload(REPOSITORY)
  const out = request(`${side.server.url}${path}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/octet-stream', 'content-length': bytes },
    agent: false,
  })
  const replied = once(out, 'response')
  const [digest, [reply]] = await Promise.all([writeBody(out, bytes), replied])
  reply.resume()
  if (reply.statusCode !== 202) throw new Error(`PATCH answered ${reply.statusCode}`)
  const closing = closingPath(side.client.pathOf(reply.headers.location), digest)
  await side.client.send({ method: 'PUT', path: closing }, 201)
  return digest
}

async function downloadAll(side: Side, digest: string, bytes: number): Promise<void> {
  const out = request(`${side.server.url}/v2/${REPOSITORY}/blobs/${digest}`, { agent: false }).end()
  const [reply] = await once(out, 'response')
  let received = 0
  reply.on('data', (chunk: Buffer) => {
    received += chunk.length
  })
  await once(reply, 'end')
  if (reply.statusCode !== 200 || received !== bytes) {
    throw new Error(`GET of a blob answered ${reply.statusCode} with ${received} of ${bytes} bytes`)
  }
}

async function crowd(side: Side, { transfers, bytesEach }: Crowd): Promise<void> {
  const digest = await upload(side, bytesEach)
  const lanes = Array.from({ length: transfers }, () => [
    upload(side, bytesEach),
    downloadAll(side, digest, bytesEach),
  ])
  await Promise.all(lanes.flat())
}

function megabytes(bytes: number): number {
  return bytes / 1e6
}

/** Both figures for one side. Limits are set for ours only: the other's are told for comparison. */
export async function measureMemory(side: Side, load: Crowd, limited: boolean): Promise<Finding[]> {
  const { pid } = side.server.process
  await sleep(IDLE_AFTER_MS)
  await untilQuiet(pid, 10_000)
  const idle = memoryOf(pid).residentBytes
  await crowd(side, load)
  const peak = memoryOf(pid).peakBytes
  const { transfers, bytesEach } = load
  return [
    {
      title: `${side.name}: idle resident memory`,
      value: megabytes(idle),
      unit: 'MB',
      ...(limited ? { atMost: 100 } : {}),
      note: `VmRSS ${IDLE_AFTER_MS / 1000} s after the start`,
    },
    {
      title: `${side.name}: ${transfers} uploads and ${transfers} downloads of ${bytesEach / MiB} MiB at once`,
      value: megabytes(peak),
      unit: 'MB',
      ...(limited ? { atMost: 250 } : {}),
      note: 'VmHWM',
    },
  ]
}
