// Which repositories there are.
import { type Executor, hot, type Transaction } from '#db/db.ts'
import { joinedNames, splitNames } from '#db/joined-names.ts'
import { projectDepth } from '#db/project-depth.ts'
import { projectOf } from '#identity/account-name.ts'

export interface RepositoryRecord {
  readonly id: number
  readonly name: string
  /** 1 once a manifest was pushed. */
  readonly listed: number
}

const byName = hot<{ name: string }>()((db, p) =>
  db.selectFrom('repositories').select(['id', 'name', 'listed']).where('name', '=', p.name),
)

const insert = hot<{ name: string; project: string; now: number }>()((db, p) =>
  db
    .insertInto('repositories')
    .values({ name: p.name, project: p.project, created_at: p.now, listed: 0 })
    .onConflict((conflict) => conflict.column('name').doNothing()),
)

const markListed = hot<{ id: number }>()((db, p) =>
  db.updateTable('repositories').set({ listed: 1 }).where('id', '=', p.id).where('listed', '=', 0),
)

const page = hot<{ last: string; limit: number }>()((db, p) =>
  db
    .selectFrom((from) =>
      from
        .selectFrom('repositories')
        .select('name')
        .where('listed', '=', 1)
        .where('name', '>', p.last)
        .orderBy('name')
        .limit(p.limit)
        .as('page'),
    )
    .select(joinedNames),
)

export function findRepository(db: Executor, name: string): Promise<RepositoryRecord | undefined> {
  return db.first(byName, { name })
}

/** The repository of that name, made when it is missing. */
export async function ensureRepository(
  tx: Transaction,
  name: string,
  now: number,
): Promise<RepositoryRecord> {
  const found = await tx.first(byName, { name })
  if (found) return found
  await tx.run(insert, { name, project: projectOf(name, await projectDepth(tx)), now })
  const made = await tx.first(byName, { name })
  if (!made) throw new Error(`repository ${name} vanished inside its own transaction`)
  return made
}

/** From now on `_catalog` shows it. */
export async function listRepositoryInCatalog(tx: Transaction, repository: RepositoryRecord): Promise<void> {
  if (!repository.listed) await tx.run(markListed, { id: repository.id })
}

/** Names in byte order, after `last` exclusively. */
export async function repositoryPage(db: Executor, last: string, limit: number): Promise<string[]> {
  return splitNames(await db.first(page, { last, limit }))
}
