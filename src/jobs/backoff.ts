// How long a job that failed waits before it is tried again.

const FIRST_MS = 5_000
const LAST_MS = 3_600_000

/**
 * Doubles with each attempt, up to an hour, and is spread: jobs that failed together do not come back together.
 * @param attempt 1 after the first failure
 * @param random from 0 to 1, exclusively
 */
export function backoffMs(attempt: number, random: number): number {
  const full = Math.min(FIRST_MS * 2 ** (attempt - 1), LAST_MS)
  return Math.round(full * (0.75 + random / 2))
}
