// What only a database knows, from one that is replaced into the one that was built anew from the tree: people, rules, the
// audit log, events, and of contents who pushed them and when. What there is says the new one alone.
import { DatabaseSync } from 'node:sqlite'
import { type SchemaOutline, schemaOutline, type TableOutline } from '#db/copy/outline.ts'
import { LINKS_TO_WRITE } from '#db/snapshot.ts'

/** Rows of contents: whatever refers to them, through however many tables, is of contents too. */
const CONTENTS: readonly string[] = ['repositories', 'blobs', 'manifests']
/** Counted anew, or of processes that are gone. */
const LEFT_BEHIND: readonly string[] = ['usage_totals', 'usage_deltas', 'leases']
/** Where the new database, and the link files beside it, stand. */
const OWN_SETTINGS: readonly string[] = ['links_boot', LINKS_TO_WRITE]

export interface CarriedOver {
  /** Rows by table. */
  readonly rows: Readonly<Record<string, number>>
  /** What the former database had and the tree has not, and the other way round. */
  readonly differences: readonly FactDifference[]
}

export interface FactDifference {
  readonly what: 'tags' | 'manifests' | 'blobs in repositories'
  readonly onlyBefore: number
  readonly onlyNow: number
}

/** Tables that are carried over as they are, each after those that it refers to. */
export function carriedTables({ tables }: SchemaOutline): TableOutline[] {
  const contents = new Set(CONTENTS)
  for (const { name, refersTo } of tables)
    if (refersTo.some((other) => contents.has(other))) contents.add(name)
  return tables.filter(({ name }) => !contents.has(name) && !LEFT_BEHIND.includes(name))
}

/** All or nothing. Both have the schema of this version, and nobody else has either of them. */
export async function carryOver(path: string, former: string): Promise<CarriedOver> {
  const tables = carriedTables(await schemaOutline())
  const database = new DatabaseSync(path)
  try {
    database.exec('pragma foreign_keys = on')
    database.prepare('attach ? as former').run(former)
    database.exec('begin immediate')
    const rows = carryTables(database, tables)
    for (const sql of OF_CONTENTS) database.exec(sql)
    rows['pulls'] = Number(database.prepare(PULLS).run().changes)
    const differences = KEYS.map(({ what, key }) => ({
      what,
      onlyBefore: countOf(database, key('former'), key('main')),
      onlyNow: countOf(database, key('main'), key('former')),
    }))
    database.exec('commit')
    return { rows, differences }
  } finally {
    database.close()
  }
}

function carryTables(database: DatabaseSync, tables: readonly TableOutline[]): Record<string, number> {
  const rows: Record<string, number> = {}
  for (const { name } of tables.toReversed()) {
    const own = name === 'settings' ? ` where key not in (${textList(OWN_SETTINGS)})` : ''
    database.exec(`delete from main.${name}${own}`)
  }
  for (const { name, columns, neverReuses } of tables) {
    const names = columns.map((column) => `"${column.name}"`).join()
    const own = name === 'settings' ? ` where key not in (${textList(OWN_SETTINGS)})` : ''
    const { changes } = database
      .prepare(`insert into main.${name} (${names}) select ${names} from former.${name}${own}`)
      .run()
    rows[name] = Number(changes)
    if (!neverReuses) continue
    database.prepare('delete from main.sqlite_sequence where name = ?').run(name)
    database
      .prepare(
        'insert into main.sqlite_sequence (name, seq) select name, seq from former.sqlite_sequence where name = ?',
      )
      .run(name)
  }
  return rows
}

const OF_CONTENTS = [
  `update main.repositories set (created_at, project) =
    (select f.created_at, f.project from former.repositories f where f.name = main.repositories.name)
    where name in (select name from former.repositories)`,
  // Since when bytes are known to be what they are called; a file that changed since is told by its time.
  `update main.blobs set created_at = f.created_at, verified_at = coalesce(main.blobs.verified_at, f.verified_at)
    from former.blobs f where f.digest = main.blobs.digest and f.size = main.blobs.size`,
  `update main.repository_blobs set created_at = f.created_at, pushed_by = f.pushed_by
    from main.repositories r, main.blobs b, former.repositories fr, former.blobs fb, former.repository_blobs f
    where r.id = main.repository_blobs.repository_id and b.id = main.repository_blobs.blob_id
      and fr.name = r.name and fb.digest = b.digest and f.repository_id = fr.id and f.blob_id = fb.id`,
  `update main.manifests set created_at = f.created_at, pushed_by = f.pushed_by
    from main.repositories r, former.repositories fr, former.manifests f
    where r.id = main.manifests.repository_id and fr.name = r.name
      and f.repository_id = fr.id and f.digest = main.manifests.digest`,
  `update main.tags set created_at = f.created_at, updated_at = f.updated_at
    from main.repositories r, main.manifests m, former.repositories fr, former.tags f, former.manifests fm
    where r.id = main.tags.repository_id and m.id = main.tags.manifest_id and fr.name = r.name
      and f.repository_id = fr.id and f.name = main.tags.name and fm.id = f.manifest_id and fm.digest = m.digest`,
]

const PULLS = `insert into main.pulls (repository_id, name, pulled_at, pulls)
  select r.id, p.name, p.pulled_at, p.pulls from former.pulls p
  join former.repositories fr on fr.id = p.repository_id join main.repositories r on r.name = fr.name`

const KEYS: readonly { readonly what: FactDifference['what']; readonly key: (schema: string) => string }[] = [
  {
    what: 'tags',
    key: (schema) => `select r.name, t.name, m.digest from ${schema}.tags t
      join ${schema}.repositories r on r.id = t.repository_id join ${schema}.manifests m on m.id = t.manifest_id`,
  },
  {
    what: 'manifests',
    key: (schema) => `select r.name, m.digest from ${schema}.manifests m
      join ${schema}.repositories r on r.id = m.repository_id`,
  },
  {
    what: 'blobs in repositories',
    key: (schema) => `select r.name, b.digest from ${schema}.repository_blobs x
      join ${schema}.repositories r on r.id = x.repository_id join ${schema}.blobs b on b.id = x.blob_id`,
  },
]

function countOf(database: DatabaseSync, all: string, without: string): number {
  return Number(database.prepare(`select count(*) as rows from (${all} except ${without})`).get()?.['rows'])
}

function textList(values: readonly string[]): string {
  return values.map((value) => `'${value}'`).join()
}

/** @throws Error when the file cannot be trusted as it is */
export function checkFile(path: string): void {
  const database = new DatabaseSync(path)
  try {
    const [check] = database.prepare('pragma quick_check(1)').all()
    if (check?.['quick_check'] !== 'ok') throw new Error(String(check?.['quick_check']))
  } finally {
    database.close()
  }
}
