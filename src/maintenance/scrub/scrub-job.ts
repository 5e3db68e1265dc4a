// Hashing what is stored, as a job.
import { z } from 'zod'
import { type JobKind, type JobRun, jobKind } from '#jobs/job-kind.ts'
import { type FindingKind, type ScrubState, scrubBlobs } from '#maintenance/scrub/scrub-blobs.ts'
import { isDigest } from '#oci/digest.ts'
import type { Registry } from '#registry/registry.ts'

export const SCRUB = 'scrub'
const ATTEMPTS_MAX = 5
const DIGESTS_MAX = 1_000
const RATE_MAX = 100 * 1024 ** 3

const scrubInput = z.strictObject({
  /** Only these. */
  digests: z
    .array(z.string().refine((text) => isDigest(text), 'must be a digest: sha256:<64 hex>'))
    .min(1)
    .max(DIGESTS_MAX)
    .optional(),
  /** Instead of the configured rate; 0 for as fast as it goes. */
  bytesPerSecond: z.int().min(0).max(RATE_MAX).optional(),
})

type ScrubInput = z.infer<typeof scrubInput>

export interface ScrubSettings {
  readonly bytesPerSecond: number
  readonly onFinding: (kind: FindingKind) => void
}

export function scrubJob(registry: Registry, { bytesPerSecond, onFinding }: ScrubSettings): JobKind {
  const run = async ({ input, cursor, signal, checkpoint }: JobRun<ScrubInput>) => {
    const report = await scrubBlobs({
      ...{ registry, signal, onFinding },
      digests: input.digests?.filter((digest) => isDigest(digest)),
      bytesPerSecond: input.bytesPerSecond ?? bytesPerSecond,
      state: cursor as ScrubState | undefined,
      checkpoint: (state) => checkpoint(state, { ...state.report, findings: undefined }),
    })
    registry.log.info('what is stored was hashed', {
      blobs: report.blobs,
      bytes: report.bytes,
      corrupt: report.corrupt,
      missing: report.missing,
      repaired: report.repaired,
    })
    return { result: report }
  }
  return jobKind<ScrubInput>({
    name: SCRUB,
    about: 'Hashes what is stored; repairs what is broken or sets it aside.',
    input: scrubInput,
    uniqueKey: ({ digests }) => (digests ? undefined : SCRUB),
    attemptsMax: ATTEMPTS_MAX,
    run,
  })
}
