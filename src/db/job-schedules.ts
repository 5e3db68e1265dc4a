// When jobs are made by themselves.
import type { Executor, Transaction } from '#db/db.ts'

export interface ScheduleRecord {
  readonly name: string
  readonly kind: string
  /** A cron line, or `@every <Go duration>`. */
  readonly timing: string
  /** JSON. */
  readonly input: string
  readonly nextAt: number
  readonly lastAt: number | null
}

const COLUMNS = ['name', 'kind', 'timing', 'input', 'next_at as nextAt', 'last_at as lastAt'] as const

export function schedules(db: Executor): Promise<ScheduleRecord[]> {
  return db.kysely.selectFrom('job_schedules').select(COLUMNS).orderBy('name').execute()
}

export function dueSchedules(db: Executor, now: number): Promise<ScheduleRecord[]> {
  return db.kysely
    .selectFrom('job_schedules')
    .select(COLUMNS)
    .where('next_at', '<=', now)
    .orderBy('name')
    .execute()
}

/** Adds a schedule, or changes one; its next time stays while its timing does. */
export async function putSchedule(
  tx: Transaction,
  schedule: Pick<ScheduleRecord, 'name' | 'kind' | 'timing' | 'input' | 'nextAt'>,
): Promise<void> {
  const { name, kind, timing, input, nextAt } = schedule
  const known = await tx.kysely
    .selectFrom('job_schedules')
    .select(COLUMNS)
    .where('name', '=', name)
    .executeTakeFirst()
  if (known?.timing === timing && known.kind === kind && known.input === input) return
  await tx.kysely
    .insertInto('job_schedules')
    .values({ name, kind, timing, input, next_at: nextAt, last_at: null })
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet({
        kind,
        timing,
        input,
        ...(known?.timing !== timing && { next_at: nextAt }),
      }),
    )
    .execute()
}

export async function removeSchedule(tx: Transaction, name: string): Promise<void> {
  await tx.kysely.deleteFrom('job_schedules').where('name', '=', name).execute()
}

/** Sets the next time. False when another process was first. */
export async function advanceSchedule(
  tx: Transaction,
  schedule: ScheduleRecord,
  nextAt: number,
  now: number,
): Promise<boolean> {
  const { numUpdatedRows } = await tx.kysely
    .updateTable('job_schedules')
    .set({ next_at: nextAt, last_at: now })
    .where('name', '=', schedule.name)
    .where('next_at', '=', schedule.nextAt)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}
