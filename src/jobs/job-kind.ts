// What a job is to whoever does it. A handler may see the same work again: after a crash, or when its lease ran out.
import type { z } from 'zod'

/** One run of a job, by one worker. */
export interface JobRun<Input> {
  readonly id: number
  readonly input: Input
  /** What the last checkpoint said; undefined at the beginning. */
  readonly cursor: unknown
  /** Raised when the job is cancelled, its lease is lost, or the worker stops: end soon, by a throw of its reason. */
  readonly signal: AbortSignal
  /**
   * Keeps where to go on, and what to show. Rejects when the job is another's by now.
   * @param cursor JSON; what the handler finds again
   * @param progress JSON; what people see
   */
  checkpoint(cursor: unknown, progress?: unknown): Promise<void>
}

/** Done with a result, or to go on at a cursor later, which is no failure. JSON, both. */
export type JobEnd =
  | { readonly result?: unknown; readonly againInMs?: undefined }
  | { readonly againInMs: number; readonly cursor: unknown; readonly progress?: unknown }

export interface JobKind<Input = unknown> {
  readonly name: string
  /** What it does, for people. */
  readonly about: string
  readonly input: z.ZodType<Input>
  /** Jobs with one key do not wait or run at the same time; undefined for any number of them. */
  readonly uniqueKey?: (input: Input) => string | undefined
  /** Failures in a row, without a checkpoint between, that end it. */
  readonly attemptsMax: number
  readonly run: (job: JobRun<Input>) => Promise<JobEnd>
}

/** Ties the handler to the type of its input. */
export function jobKind<Input>(kind: JobKind<Input>): JobKind {
  return kind as unknown as JobKind
}

/** Reasons that a job's signal is raised with. */
export class JobCancelled extends Error {
  override readonly name = 'JobCancelled'
  override readonly message = 'the job was cancelled'
}

export class LeaseLost extends Error {
  override readonly name = 'LeaseLost'
  override readonly message = 'the lease ran out: another worker may have the job'
}

export class WorkerStopping extends Error {
  override readonly name = 'WorkerStopping'
  override readonly message = 'the worker stops: another goes on'
}
