// So many things in so long, as people write it: `100/6h`, `50GB/1h`.
import { parseByteAmount, writeByteAmount } from './byte-amount.ts'
import { formatGoDuration, parseGoDuration } from './go-duration.ts'

export interface Rate {
  /** At least 1. */
  readonly amount: number
  /** In this time all of it comes back, evenly. Milliseconds, at least 1000. */
  readonly windowMs: number
}

/** Shorter ones would be noise: clocks and batches are coarser. */
const WINDOW_MS_MIN = 1_000

/** Undefined for what is no rate. A bare unit is one of it: `100/h`. */
export function parseRate(text: string, of: 'things' | 'bytes'): Rate | undefined {
  const [before = '', behind = '', ...more] = text.split('/').map((part) => part.trim())
  if (more.length > 0) return undefined
  const amount = of === 'bytes' ? parseByteAmount(before) : parseWhole(before)
  const windowMs = parseGoDuration(/^[a-z]+$/.test(behind) ? `1${behind}` : behind)
  if (amount === undefined || amount < 1 || windowMs === undefined || windowMs < WINDOW_MS_MIN)
    return undefined
  return { amount, windowMs }
}

function parseWhole(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** So that it reads back as the same rate. */
export function writeRate({ amount, windowMs }: Rate, of: 'things' | 'bytes'): string {
  const window = formatGoDuration(windowMs)
    .replace(/(?<=[hm])0s$/, '')
    .replace(/(?<=h)0m$/, '')
  return `${of === 'bytes' ? writeByteAmount(amount) : amount}/${window}`
}
