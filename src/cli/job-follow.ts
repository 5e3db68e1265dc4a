// Starts a job of a running registry, and follows it.
import { setTimeout as wait } from 'node:timers/promises'
import type { AdminClient } from '#cli/admin-client.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Session } from '#cli/session.ts'

const POLL_FIRST_MS = 200
const POLL_LAST_MS = 2_000

export interface ShownJob {
  readonly id: number
  readonly kind: string
  readonly state: 'waiting' | 'running' | 'done' | 'failed' | 'cancelled'
  readonly progress: unknown
  readonly result: unknown
  readonly error: string | null
  readonly runAt: string
  readonly createdAt: string
  readonly finishedAt: string | null
  readonly attempts: number
  readonly worker: string | null
}

export async function startJob(client: AdminClient, kind: string, input: object): Promise<ShownJob> {
  return (await client.send({ method: 'POST', path: '/jobs', body: { kind, input } })) as ShownJob
}

/**
 * Polls until the job has ended, or `isEnough` says so. What happens to the job does not depend on whether somebody looks.
 * @throws CommandFailure when it failed or was cancelled
 */
export async function followJob(
  client: AdminClient,
  session: Session,
  id: number,
  isEnough: (job: ShownJob) => boolean = () => false,
): Promise<ShownJob> {
  for (let pauseMs = POLL_FIRST_MS; ; pauseMs = Math.min(pauseMs * 1.5, POLL_LAST_MS)) {
    const job = (await client.send({ method: 'GET', path: `/jobs/${id}` })) as ShownJob
    if (job.state === 'done' || isEnough(job)) return job
    if (job.state === 'failed') throw new CommandFailure(EXIT.failed, `the job ${id} failed: ${job.error}`)
    if (job.state === 'cancelled') throw new CommandFailure(EXIT.failed, `the job ${id} was cancelled`)
    await wait(pauseMs, undefined, { signal: session.signal })
  }
}
