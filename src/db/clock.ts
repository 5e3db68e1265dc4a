// The clock of the database: the one that all processes share, however far their own are apart.
import { type RawBuilder, sql } from 'kysely'
import type { Engine, Executor } from '#db/db.ts'

/** Milliseconds since 1970. */
export type DatabaseClock = (db: Executor) => Promise<number>

/** The same inside a query. */
export function databaseTime(engine: Engine): RawBuilder<number> {
  return engine === 'postgres'
    ? sql`cast(extract(epoch from clock_timestamp()) * 1000 as bigint)`
    : sql`cast(unixepoch('subsec') * 1000 as integer)`
}

/** What the clock shows now, also where a transaction began earlier. */
export const databaseNow: DatabaseClock = async ({ engine, kysely }) => {
  const { rows } = await sql<{ now: number | string }>`select ${databaseTime(engine)} as now`.execute(kysely)
  return Number(rows[0]?.now)
}
