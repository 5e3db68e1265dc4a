// Writes the link files of all facts: after a backup was restored, whose link files are of another moment than its facts, or
// are not there. Facts say what there was; a link that is missing must not be taken for something that was deleted.
//
// Link files are not synced, so what was written is not relied on until the system has had the time to write it back: a start
// after the death of the system before that writes them once more.
import type { Batching, KeyChange, KeyStore } from '#blobs/keys.ts'
import type { Db } from '#db/db.ts'
import { getSetting, setSetting } from '#db/settings.ts'
import { LINKS_TO_WRITE } from '#db/snapshot.ts'
import { allBlobs, allManifests, allRepositories, allTags } from '#db/tree.ts'
import { blobChanges, manifestChanges, tagChanges } from '#maintenance/link-tree.ts'
import { isRepositoryName, isTag, type RepositoryName } from '#oci/reference.ts'
import type { Log } from '#telemetry/log.ts'

const CHANGES_PER_BATCH = 500
const PROGRESS_MS = 10_000

export interface WriteLinksOptions {
  readonly db: Db
  readonly keys: KeyStore & Batching
  readonly log: Log
  /** Of this run of the system; empty where it is not known. */
  readonly boot: string
}

/** Resolves to whether they may still be lost with the system. */
export async function writeMissingLinks(options: WriteLinksOptions): Promise<boolean> {
  const { db, log, boot } = options
  const wanted = (await getSetting(db, LINKS_TO_WRITE)) ?? ''
  if (wanted === '') return false
  if (wanted === boot) return true
  log.info('the link files are written from the database, which was restored', {})
  const links = await writeAll(options)
  await db.transaction((tx) => setSetting(tx, LINKS_TO_WRITE, boot === '' ? 'yes' : boot))
  log.info('the link files are written', { links })
  return true
}

/** What was written stays. */
export async function linksAreWritten(db: Db): Promise<void> {
  await db.transaction((tx) => setSetting(tx, LINKS_TO_WRITE, ''))
}

async function writeAll({ db, keys, log }: WriteLinksOptions): Promise<number> {
  let waiting: KeyChange[] = []
  let links = 0
  let toldAt = performance.now()
  const flush = async () => {
    await keys.apply(waiting)
    links += waiting.length
    waiting = []
  }
  for await (const name of allRepositories(db)) {
    if (!isRepositoryName(name)) continue
    for await (const changes of changesOf(db, name)) {
      waiting.push(...changes.filter(({ text }) => text !== undefined))
      if (waiting.length >= CHANGES_PER_BATCH) await flush()
    }
    if (performance.now() - toldAt < PROGRESS_MS) continue
    toldAt = performance.now()
    log.info('writing link files', { links, repository: name })
  }
  await flush()
  return links
}

/** Blobs before the manifests that need them, manifests before their tags. */
async function* changesOf(db: Db, name: RepositoryName): AsyncGenerator<KeyChange[]> {
  for await (const digest of allBlobs(db, name)) yield blobChanges(db, name, digest)
  for await (const digest of allManifests(db, name)) yield manifestChanges(db, name, digest)
  for await (const tag of allTags(db, name)) if (isTag(tag)) yield tagChanges(db, name, tag)
}
