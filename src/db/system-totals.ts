// How much there is of everything.
import type { Executor } from '#db/db.ts'

const COUNTED = {
  repositories: 'repositories',
  manifests: 'manifests',
  tags: 'tags',
  uploads: 'uploads',
  projects: 'projects',
  users: 'users',
  robots: 'robots',
} as const

export type SystemTotals = Readonly<Record<keyof typeof COUNTED, number>>

/** Looks at every row of every table: not for each request. */
export async function systemTotals(db: Executor): Promise<SystemTotals> {
  const totals = new Map<string, number>()
  for (const [name, table] of Object.entries(COUNTED)) {
    const row = await db.kysely
      .selectFrom(table)
      .select((select) => select.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow()
    totals.set(name, Number(row.count))
  }
  return Object.fromEntries(totals) as SystemTotals
}
