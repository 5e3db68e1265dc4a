// How many components of a repository's name can name its project: a fact of the store, since rows are kept by project.
import type { Executor, Transaction } from '#db/db.ts'
import { getSetting, setSetting } from '#db/settings.ts'
import { rebuildUsage } from '#db/usage-recount.ts'
import { projectOf } from '#identity/account-name.ts'

const SETTING = 'project_depth'
const PAGE = 500

export async function projectDepth(db: Executor): Promise<number> {
  return Number((await getSetting(db, SETTING)) ?? 1)
}

/** Gives each repository to the project that its name begins with now, and counts anew. True when that was another depth. */
export async function setProjectDepth(tx: Transaction, depth: number): Promise<boolean> {
  if ((await projectDepth(tx)) === depth) return false
  await setSetting(tx, SETTING, String(depth))
  for (let last = ''; ; ) {
    const rows = await tx.kysely
      .selectFrom('repositories')
      .select(['id', 'name', 'project'])
      .where('name', '>', last)
      .orderBy('name')
      .limit(PAGE)
      .execute()
    for (const { id, name, project: before } of rows) {
      const project = projectOf(name, depth)
      if (project !== before)
        await tx.kysely.updateTable('repositories').set({ project }).where('id', '=', id).execute()
    }
    const end = rows.at(-1)
    if (!end) break
    last = end.name
  }
  await rebuildUsage(tx)
  return true
}
