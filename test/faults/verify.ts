// After a crash: is everything there that was acknowledged, is it whole, and is nothing visible that is not complete?
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { digestOf } from '#oci/digest.ts'
import { OCI_MANIFEST } from '#oci/media-types.ts'
import type { Acknowledged } from './ledger.ts'

export interface Verdict {
  readonly lost: string[]
  readonly corrupt: string[]
  /** Visible by tag though it was never acknowledged and is not complete. */
  readonly dangling: string[]
}

const ACCEPT = { accept: OCI_MANIFEST }

async function get(
  url: string,
  path: string,
): Promise<{ status: number; bytes: Buffer; digest: string | null }> {
  const response = await fetch(new URL(path, url), { headers: ACCEPT })
  const bytes = Buffer.from(await response.arrayBuffer())
  return { status: response.status, bytes, digest: response.headers.get('docker-content-digest') }
}

export interface Extent {
  /** How many of the latest blobs and manifests are fetched and hashed; all the tags are looked at in any case. */
  readonly blobs: number
  readonly manifests: number
}

export const EVERYTHING: Extent = { blobs: Number.POSITIVE_INFINITY, manifests: Number.POSITIVE_INFINITY }

/** Asks the server for what it acknowledged. */
export async function verifyAcknowledged(
  url: string,
  ledger: Acknowledged,
  extent: Extent,
): Promise<Verdict> {
  const verdict: Verdict = { lost: [], corrupt: [], dangling: [] }
  for (const { repository, digest } of latest(ledger.manifests, extent.manifests)) {
    const { status, bytes } = await get(url, `/v2/${repository}/manifests/${digest}`)
    if (status !== 200) verdict.lost.push(`manifest ${repository}@${digest}: ${status}`)
    else if (digestOf(bytes) !== digest) verdict.corrupt.push(`manifest ${repository}@${digest}`)
  }
  for (const { repository, digest, size } of latest(ledger.blobs, extent.blobs)) {
    const { status, bytes } = await get(url, `/v2/${repository}/blobs/${digest}`)
    if (status !== 200) verdict.lost.push(`blob ${repository}@${digest}: ${status}`)
    else if (bytes.length !== size || digestOf(bytes) !== digest)
      verdict.corrupt.push(`blob ${repository}@${digest}`)
  }
  for (const { repository, digest } of latest(ledger.deleted, extent.manifests)) {
    const { status } = await get(url, `/v2/${repository}/manifests/${digest}`)
    if (status !== 404) verdict.lost.push(`the delete of ${repository}@${digest}: ${status}`)
  }
  await verifyTags(url, ledger, verdict)
  return verdict
}

function latest<T>(entries: ReadonlyMap<string, T>, count: number): T[] {
  const all = [...entries.values()]
  return all.slice(Math.max(0, all.length - count))
}

async function verifyTags(url: string, ledger: Acknowledged, verdict: Verdict): Promise<void> {
  const listed = new Map<string, Set<string>>()
  for (const { repository, tag, may } of ledger.tags.values()) {
    if (!listed.has(repository)) listed.set(repository, await tagsOf(url, repository))
    const { status, digest, bytes } = await get(url, `/v2/${repository}/manifests/${tag}`)
    const at = status === 404 ? null : digest
    if (status !== 200 && status !== 404) verdict.lost.push(`tag ${repository}:${tag}: ${status}`)
    else if (!may.has(at))
      verdict.lost.push(`tag ${repository}:${tag} is ${at}, not ${[...may].join(' or ')}`)
    else if (listed.get(repository)?.has(tag) !== (at !== null))
      verdict.lost.push(`the listing of ${repository}:${tag}`)
    if (at !== null) await verifyComplete(url, repository, bytes, verdict)
    // What it is now is what it stays until somebody moves it.
    may.clear()
    may.add(at)
    if (at !== null) ledger.manifests.set(`${repository}@${at}`, { repository, digest: at })
  }
}

async function tagsOf(url: string, repository: string): Promise<Set<string>> {
  const response = await fetch(new URL(`/v2/${repository}/tags/list`, url))
  if (response.status !== 200) return new Set()
  return new Set(((await response.json()) as { tags: string[] }).tags)
}

/** A tag that can be pulled can be pulled whole. */
async function verifyComplete(
  url: string,
  repository: string,
  bytes: Buffer,
  verdict: Verdict,
): Promise<void> {
  const { config, layers } = JSON.parse(bytes.toString()) as {
    config: { digest: string }
    layers: { digest: string }[]
  }
  for (const { digest } of [config, ...layers]) {
    const { status } = await fetch(new URL(`/v2/${repository}/blobs/${digest}`, url), { method: 'HEAD' })
    if (status !== 200) verdict.dangling.push(`${repository} needs ${digest}: ${status}`)
  }
}

/** Sessions that the crash interrupted go on where the server says, and end well. */
export async function finishUploads(
  url: string,
  ledger: Acknowledged,
): Promise<{ continued: number; failed: string[] }> {
  const failed: string[] = []
  let continued = 0
  for (const { path, bytes, digest, repository } of ledger.uploads.values()) {
    const status = await fetch(new URL(path, url))
    await status.arrayBuffer()
    // Its end may have been reached without the answer getting through.
    if (status.status === 404) continue
    const last = Number(status.headers.get('range')?.split('-')[1] ?? 0)
    const offset = last === 0 ? 0 : last + 1
    const put = await fetch(new URL(`${path}?digest=${digest}`, url), {
      method: 'PUT',
      body: new Uint8Array(bytes.subarray(offset)),
      headers:
        offset > 0 && offset < bytes.length ? { 'content-range': `${offset}-${bytes.length - 1}` } : {},
    })
    if (put.status === 201) {
      continued += 1
      ledger.blobs.set(`${repository}@${digest}`, { repository, digest, size: bytes.length })
    } else failed.push(`${path} at ${offset} of ${bytes.length}: ${put.status} ${await put.text()}`)
  }
  ledger.uploads.clear()
  return { continued, failed }
}

/** Looks at the folder of a stopped server: files against their names, and the database against the files. */
export function checkFolder(root: string): string[] {
  const faults: string[] = []
  const blobs = join(root, 'docker/registry/v2/blobs/sha256')
  const sizes = new Map<string, number>()
  for (const shard of readdirSync(blobs)) {
    for (const hex of readdirSync(join(blobs, shard))) {
      const files = readdirSync(join(blobs, shard, hex))
      if (!files.includes('data')) continue
      const bytes = readFileSync(join(blobs, shard, hex, 'data'))
      sizes.set(`sha256:${hex}`, bytes.length)
      if (createHash('sha256').update(bytes).digest('hex') !== hex) faults.push(`blob ${hex} has other bytes`)
    }
  }
  const database = new DatabaseSync(join(root, 'stowage/registry.sqlite'))
  const [integrity] = database.prepare('pragma integrity_check').all()
  if (integrity?.['integrity_check'] !== 'ok') faults.push(`integrity check: ${JSON.stringify(integrity)}`)
  for (const row of database.prepare('pragma foreign_key_check').all())
    faults.push(`foreign key: ${JSON.stringify(row)}`)
  for (const { digest, size } of database.prepare('select digest, size from blobs').all()) {
    if (sizes.get(String(digest)) !== Number(size))
      faults.push(`${digest} has ${sizes.get(String(digest))} bytes, not ${size}`)
  }
  database.close()
  return faults
}
