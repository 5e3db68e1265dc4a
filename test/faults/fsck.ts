// Checks a store whose server is not running: every file is what its name says, and facts and files agree.
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import {
  blobPath,
  isShard,
  layerLink,
  revisionLink,
  SHA256_FOLDER,
  tagCurrentLink,
  UPLOADS_FOLDER,
} from '#blobs/layout.ts'
import { type Digest, digestOf } from '#oci/digest.ts'
import type { RepositoryName, Tag } from '#oci/reference.ts'
import type { Findings } from './findings.ts'

export interface FsckOptions {
  /** The folder that registry:2 calls rootdirectory. */
  readonly root: string
  /** The database file; beside the blobs when absent. */
  readonly database?: string
  /** Whether the link files must be in step with the facts: after a clean stop. */
  readonly links: boolean
}

export interface FsckReport {
  readonly blobs: number
  /** Files that no fact names: a crash may leave them. */
  readonly unlinked: number
  /** Bytes of uploads without a session: likewise. */
  readonly leftovers: number
}

interface ManifestRow {
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly blobDigest: Digest
  readonly blobs: number
}

export function fsck({ root, database, links }: FsckOptions, findings: Findings): FsckReport {
  const files = blobFiles(root, findings)
  const copy = mkdtempSync(join(tmpdir(), 'fsck-'))
  try {
    const facts = openCopy(database ?? join(root, 'stowage', 'registry.sqlite'), copy)
    try {
      checkEngine(facts, findings)
      const known = checkBlobs(facts, files, findings)
      checkManifests(facts, root, known, findings)
      if (links) checkLinks(facts, root, findings)
      return {
        blobs: files.size,
        unlinked: [...files.keys()].filter((digest) => !known.has(digest)).length,
        leftovers: leftoversIn(root, facts),
      }
    } finally {
      facts.close()
    }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

/** A copy, with its WAL: opening the file itself would recover it, and the next start would find another state. */
function openCopy(database: string, folder: string): DatabaseSync {
  for (const suffix of ['', '-wal']) {
    if (existsSync(database + suffix)) copyFileSync(database + suffix, join(folder, `facts${suffix}`))
  }
  return new DatabaseSync(join(folder, 'facts'))
}

function checkEngine(facts: DatabaseSync, findings: Findings): void {
  for (const row of facts.prepare('pragma integrity_check').all()) {
    if (row['integrity_check'] !== 'ok') findings.add('torn', `the database: ${row['integrity_check']}`)
  }
  for (const row of facts.prepare('pragma foreign_key_check').all()) {
    findings.add('torn', `the database: a row of ${row['table']} refers to none of ${row['parent']}`)
  }
}

/** Sizes of all blob files, each of which has been hashed. */
function blobFiles(root: string, findings: Findings): Map<string, number> {
  const files = new Map<string, number>()
  const folder = join(root, SHA256_FOLDER)
  if (!existsSync(folder)) return files
  for (const shard of readdirSync(folder).filter(isShard)) {
    for (const hex of readdirSync(join(folder, shard))) {
      const path = join(folder, shard, hex, 'data')
      // A crash may come between the folder and the name in it.
      if (!existsSync(path)) continue
      const bytes = readFileSync(path)
      if (digestOf(bytes) !== `sha256:${hex}`) findings.add('corrupt', `${hex} holds ${digestOf(bytes)}`)
      files.set(`sha256:${hex}`, bytes.length)
    }
  }
  return files
}

function checkBlobs(facts: DatabaseSync, files: Map<string, number>, findings: Findings): Set<string> {
  const known = new Set<string>()
  for (const row of facts.prepare('select digest, size from blobs').all()) {
    const [digest, size] = [String(row['digest']), Number(row['size'])]
    known.add(digest)
    const found = files.get(digest)
    if (found !== size) findings.add('torn', `${digest} has ${found ?? 'no file'}, and the facts say ${size}`)
  }
  return known
}

function manifestsIn(facts: DatabaseSync): ManifestRow[] {
  return facts
    .prepare(
      `select r.name as repository, m.digest, b.digest as blobDigest,
         (select count(*) from manifest_blobs mb where mb.manifest_id = m.id) as blobs
       from manifests m join repositories r on r.id = m.repository_id join blobs b on b.id = m.blob_id`,
    )
    .all() as unknown as ManifestRow[]
}

function checkManifests(facts: DatabaseSync, root: string, known: Set<string>, findings: Findings): void {
  for (const { repository, digest, blobDigest, blobs } of manifestsIn(facts)) {
    if (!existsSync(join(root, blobPath(blobDigest)))) continue
    const { config, layers } = JSON.parse(readFileSync(join(root, blobPath(blobDigest)), 'utf8')) as {
      config: { digest: string }
      layers: { digest: string }[]
    }
    const named = new Set([config, ...layers].map((blob) => blob.digest))
    const missing = [...named].filter((blob) => !known.has(blob))
    if (missing.length > 0 || blobs !== named.size) {
      findings.add('torn', `${digest} in ${repository} names ${[...named]}, and the facts know ${blobs}`)
    }
  }
}

function leftoversIn(root: string, facts: DatabaseSync): number {
  const folder = join(root, UPLOADS_FOLDER)
  const sessions = new Set(
    facts
      .prepare('select id from uploads')
      .all()
      .map((row) => String(row['id'])),
  )
  return readdirSync(folder).filter((id) => !sessions.has(id)).length
}

/** Every fact has its link file, with the right text; and every link file that lists something has its fact. */
function checkLinks(facts: DatabaseSync, root: string, findings: Findings): void {
  const expected = new Map<string, string>()
  for (const { repository, digest, blobDigest } of manifestsIn(facts)) {
    expected.set(revisionLink(repository, digest), blobDigest)
  }
  const tags = facts.prepare(
    `select r.name as repository, t.name as tag, m.digest from tags t
     join manifests m on m.id = t.manifest_id join repositories r on r.id = t.repository_id`,
  )
  for (const row of tags.all()) {
    const path = tagCurrentLink(String(row['repository']) as RepositoryName, String(row['tag']) as Tag)
    expected.set(path, String(row['digest']))
  }
  const layers = facts.prepare(
    `select r.name as repository, b.digest from repository_blobs rb
     join repositories r on r.id = rb.repository_id join blobs b on b.id = rb.blob_id`,
  )
  for (const row of layers.all()) {
    const digest = String(row['digest']) as Digest
    expected.set(layerLink(String(row['repository']) as RepositoryName, digest), digest)
  }
  const found = linksBelow(root)
  for (const [path, text] of expected) {
    if (found.get(path) !== text) findings.add('torn', `${path} says ${found.get(path)}, not ${text}`)
  }
  for (const path of found.keys()) if (!expected.has(path)) findings.add('torn', `${path} has no fact`)
}

/** The links that say what is there now. `index` links say what a tag once pointed at. */
function linksBelow(root: string): Map<string, string> {
  const links = new Map<string, string>()
  const folder = 'docker/registry/v2/repositories'
  for (const name of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
    if (basename(name) !== 'link' || /\/index\/sha\d+\//.test(name)) continue
    const path = join(root, folder, name)
    if (statSync(path).isFile()) links.set(`${folder}/${name}`, readFileSync(path, 'utf8'))
  }
  return links
}
