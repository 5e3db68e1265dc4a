// How far each subscriber of the events has come, and which process delivers to it: one at a time, by a lease that runs out
// by the clock of the database.
import { sql } from 'kysely'
import { databaseTime } from '#db/clock.ts'
import { type Executor, hot, type Transaction } from '#db/db.ts'

const position = hot<{ name: string }>()((db, p) =>
  db.selectFrom('cursors').select('position').where('name', '=', p.name),
)

const holderOf = hot<{ name: string }>()((db, p) =>
  db.selectFrom('cursors').select('holder').where('name', '=', p.name),
)

const set = hot<{ name: string; position: number }>()((db, p) =>
  db
    .insertInto('cursors')
    .values({ name: p.name, position: p.position })
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet((update) => ({ position: update.ref('excluded.position') })),
    ),
)

const advance = hot<{ name: string; holder: string; from: number; to: number }>()((db, p) =>
  db
    .updateTable('cursors')
    .set({ position: p.to })
    .where('name', '=', p.name)
    .where('holder', '=', p.holder)
    .where('position', '=', p.from),
)

const release = hot<{ name: string; holder: string }>()((db, p) =>
  db
    .updateTable('cursors')
    .set({ holder: null, held_until: null })
    .where('name', '=', p.name)
    .where('holder', '=', p.holder),
)

/** 0 for a subscriber that has not read anything. */
export async function eventCursor(db: Executor, subscriber: string): Promise<number> {
  return (await db.first(position, { name: subscriber }))?.position ?? 0
}

/** Whoever delivers meanwhile notices, and goes on from there. */
export async function setEventCursor(tx: Transaction, subscriber: string, to: number): Promise<void> {
  await tx.run(set, { name: subscriber, position: to })
}

export interface Claim {
  readonly name: string
  readonly holder: string
  readonly forMs: number
  /** Whether the process that holds the lease is known to be dead. */
  readonly isGone: (holder: string) => boolean
}

/** Takes the lease, or makes it longer; resolves to the cursor, or to undefined while another holds it. */
export async function claimEventCursor(tx: Transaction, claim: Claim): Promise<number | undefined> {
  const { name, holder, forMs } = claim
  const held = (await tx.first(holderOf, { name }))?.holder ?? holder
  const former = held !== holder && claim.isGone(held) ? held : holder
  const now = databaseTime(tx.engine)
  const until = sql<number>`${now} + cast(${forMs} as bigint)`
  const row = await tx.kysely
    .insertInto('cursors')
    .values({ name, position: 0, holder, held_until: until })
    .onConflict((conflict) =>
      conflict
        .column('name')
        .doUpdateSet((update) => ({
          holder: update.ref('excluded.holder'),
          held_until: update.ref('excluded.held_until'),
        }))
        .where((where) =>
          where.or([
            where('cursors.holder', 'is', null),
            where('cursors.holder', 'in', [holder, former]),
            where('cursors.held_until', '<', now),
          ]),
        ),
    )
    .returning('position')
    .executeTakeFirst()
  return row?.position
}

/** False when the lease is another's by now, or somebody has set the cursor. */
export async function advanceEventCursor(
  tx: Transaction,
  step: { readonly name: string; readonly holder: string; readonly from: number; readonly to: number },
): Promise<boolean> {
  return (await tx.run(advance, step)) > 0
}

export async function releaseEventCursor(tx: Transaction, name: string, holder: string): Promise<void> {
  await tx.run(release, { name, holder })
}

/** For a subscriber that is new: what happened before does not concern it. Nothing changes for one that is known. */
export async function beginEventCursor(tx: Transaction, subscriber: string, at: number): Promise<void> {
  await tx.kysely
    .insertInto('cursors')
    .values({ name: subscriber, position: at })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute()
}

/** Names of the subscribers that begin so. */
export async function eventSubscribers(db: Executor, prefix: string): Promise<string[]> {
  const rows = await db.kysely.selectFrom('cursors').select('name').orderBy('name').execute()
  return rows.map(({ name }) => name).filter((name) => name.startsWith(prefix))
}

/** Of a subscriber that is no more: nobody waits for it before events are deleted. */
export async function deleteEventCursor(tx: Transaction, subscriber: string): Promise<void> {
  await tx.kysely.deleteFrom('cursors').where('name', '=', subscriber).execute()
}
