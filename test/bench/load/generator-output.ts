// Reads what wrk and ab print. A reply that is not a success makes the measurement worthless, and so is an error.
import type { Load } from '../scenario.ts'

function numberAfter(pattern: RegExp, output: string): number | undefined {
  const text = pattern.exec(output)?.[1]
  return text === undefined ? undefined : Number(text)
}

const SECONDS_PER_UNIT: Record<string, number> = { us: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 }

/** `  126713 requests in 3.10s, 203.14MB read` */
export function readWrk(output: string): Load {
  const match = /(\d+) requests in ([\d.]+)(us|ms|s|m|h),/.exec(output)
  if (!match) throw new Error(`wrk said something unexpected:\n${output}`)
  const bad = numberAfter(/Non-2xx or 3xx responses: (\d+)/, output) ?? 0
  const broken = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output)
  const operations = Number(match[1])
  if (bad > 0 || broken || operations === 0) throw new Error(`not every request was served:\n${output}`)
  return { operations, seconds: Number(match[2]) * (SECONDS_PER_UNIT[match[3] ?? ''] ?? Number.NaN) }
}

/** `Complete requests: 50000`, `Time taken for tests: 2.871 seconds`, `Failed requests: 0`, `Non-2xx responses: 4` */
export function readAb(output: string): Load {
  const operations = numberAfter(/Complete requests:\s+(\d+)/, output)
  const seconds = numberAfter(/Time taken for tests:\s+([\d.]+) seconds/, output)
  if (!operations || !seconds) throw new Error(`ab said something unexpected:\n${output}`)
  const bad =
    (numberAfter(/Non-2xx responses:\s+(\d+)/, output) ?? 0) +
    (numberAfter(/Failed requests:\s+(\d+)/, output) ?? 0)
  if (bad > 0) throw new Error(`not every request was served:\n${output}`)
  return { operations, seconds }
}
