// The tables of jobs and pulls, as Kysely sees them.
import type { ColumnType, Generated } from 'kysely'

type Fixed<T> = ColumnType<T, T, never>

/** Of a manifest by its digest, or of a tag. */
export interface PullTable {
  repository_id: Fixed<number>
  name: Fixed<string>
  /** The last time. */
  pulled_at: number
  pulls: number
}

export type JobState = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled'

export interface JobTable {
  id: Generated<number>
  kind: Fixed<string>
  /** Of the jobs that wait or run, one has it. */
  unique_key: Fixed<string | null>
  state: JobState
  /** Higher first. */
  priority: number
  /** Not before, by the clock of the database. */
  run_at: number
  /** JSON. */
  input: Fixed<string>
  /** JSON: where to go on. */
  cursor: string | null
  /** JSON: what to tell whoever looks. */
  progress: string | null
  /** JSON. */
  result: string | null
  error: string | null
  /** Times that it was begun since it last got on. */
  attempts: number
  attempts_max: Fixed<number>
  /** Changes with each claim: who has another one has lost the job. */
  lease: string | null
  /** Host and process, for people. */
  lease_owner: string | null
  lease_until: number | null
  cancel_requested: ColumnType<number, number | undefined, number>
  actor: Fixed<string | null>
  created_at: Fixed<number>
  started_at: number | null
  finished_at: number | null
}

export interface JobScheduleTable {
  name: Fixed<string>
  kind: string
  /** A cron line, or `@every <Go duration>`. */
  timing: string
  /** JSON. */
  input: string
  next_at: number
  last_at: number | null
}

export interface JobTables {
  pulls: PullTable
  jobs: JobTable
  job_schedules: JobScheduleTable
}
