// The order of events where several transactions write at once: an id is given before its event is committed, so a later
// one may be seen first, and who has read up to it would never see the earlier.
//
// Before a transaction is given an id, it takes a shared advisory lock whose key says the last id given until then: all of
// its own will be larger. The lock is held until the commit has become visible. So a reader asks, in this order, for the
// last id given, for the smallest of these keys, and then for the events up to the smaller of both: whoever was given an
// earlier id either still holds a lock that says so, or can be seen. A transaction that reads for long, such as a backup,
// does not keep readers back, and nothing breaks when a dump is restored into another server.
import { sql } from 'kysely'
import { type Executor, hot } from '#db/db.ts'

/** "St", in the highest 16 bits of the keys; ids have 48. */
const OURS = 0x5374
const ID_BITS = 48

const LAST_GIVEN = sql<number>`last_value - case when is_called then 0 else 1 end`

/** `events`: a JSON array of NewEvent. */
export const insertHeld = hot<{ events: string }>()((db, p) => ({
  compile: () =>
    sql`insert into events (at, kind, repository, digest, tag, media_type, size, from_repository, actor, remote,
        user_agent, request_id, duration_ms, method, origin)
      select at, kind, repository, digest, tag, "mediaType", size, "fromRepository", actor, remote, "userAgent", "requestId",
        "durationMs", method, origin
      from (
        select pg_advisory_xact_lock_shared((${sql.lit(OURS)}::bigint << ${sql.lit(ID_BITS)}) | (${LAST_GIVEN}))
        from events_id_seq
      ) as held, json_to_recordset(${p.events}::json) as event(at bigint, kind text, repository text, digest text, tag text,
        "mediaType" text, size bigint, "fromRepository" text, actor text, remote text, "userAgent" text, "requestId" text,
        "durationMs" double precision, method text, origin text)`.compile(db),
}))

const lastGiven = hot<Record<never, never>>()((db) => ({
  compile: () => sql<{ id: number }>`select ${LAST_GIVEN} as id from events_id_seq`.compile(db),
}))

/** A key of 64 bits is shown in two halves; `objsubid` 1 tells it from keys that were given as two numbers. */
const smallestHeld = hot<Record<never, never>>()((db) => ({
  compile: () =>
    sql<{ id: number | null }>`
      select min(((classid::bigint & 65535) << 32) | objid::bigint) as id
      from pg_locks
      where locktype = 'advisory' and objsubid = 1 and granted and classid::bigint >> 16 = ${sql.lit(OURS)}
        and database = (select oid from pg_database where datname = current_database())`.compile(db),
}))

export async function horizonOf(db: Executor): Promise<number> {
  const given = (await db.first(lastGiven, {}))?.id ?? 0
  const held = (await db.first(smallestHeld, {}))?.id ?? given
  return Math.min(given, held)
}
