// When manifests and tags were last pulled: written in batches from the read events, and kept when those are pruned.
import { sql } from 'kysely'
import { type Executor, hot, type Transaction } from '#db/db.ts'

export interface Pulls {
  readonly repository: string
  /** Digest that a manifest was pushed by, or name of a tag: a tag has no colon. */
  readonly name: string
  /** Time of the last of them, milliseconds since 1970. */
  readonly at: number
  readonly count: number
}

const add = hot<Pulls>()((db, p) =>
  db
    .insertInto('pulls')
    .columns(['repository_id', 'name', 'pulled_at', 'pulls'])
    .expression((query) =>
      query
        .selectFrom('repositories as r')
        .select([
          'r.id',
          sql<string>`cast(${p.name} as text)`.as('name'),
          sql<number>`cast(${p.at} as bigint)`.as('pulled_at'),
          sql<number>`cast(${p.count} as bigint)`.as('pulls'),
        ])
        .where('r.name', '=', p.repository),
    )
    .onConflict((conflict) =>
      conflict.columns(['repository_id', 'name']).doUpdateSet((set) => ({
        pulled_at: sql<number>`case when excluded.pulled_at > pulls.pulled_at then excluded.pulled_at else pulls.pulled_at end`,
        pulls: set('pulls.pulls', '+', set.ref('excluded.pulls')),
      })),
    ),
)

const byName = hot<{ repository: string; name: string }>()((db, p) =>
  db
    .selectFrom('pulls as p')
    .innerJoin('repositories as r', 'r.id', 'p.repository_id')
    .select(['p.pulled_at as at', 'p.pulls as count'])
    .where('r.name', '=', p.repository)
    .where('p.name', '=', p.name),
)

export interface PullRecord {
  /** Of the last pull, milliseconds since 1970. */
  readonly at: number
  /** Pulls so far; those that a crash lost are missing. */
  readonly count: number
}

/** Adds pulls of a manifest or a tag. A repository that is gone has none. */
export async function addPulls(tx: Transaction, pulls: Pulls): Promise<void> {
  await tx.run(add, pulls)
}

/** Of a digest or a tag; undefined when it was never pulled. A HEAD is a pull. */
export function findPulls(db: Executor, repository: string, name: string): Promise<PullRecord | undefined> {
  return db.first(byName, { repository, name })
}
