// Goes through rows by id in slices so small that others get their turn, with a rest after each.
import { setTimeout as sleep } from 'node:timers/promises'

/** SQLite answers on the thread that serves requests: a slice longer than this would be felt. */
const SLICE_MS = 4
const ROWS_FIRST = 200
const ROWS_MAX = 5_000
/** Shorter rests are saved up: a timer is not more exact. */
const REST_MS_MIN = 5

/** Rests in proportion to the work. */
export class Rest {
  readonly #share: number
  #owedMs = 0

  /** @param share how much of the time is worked: 0.15 rests 85 of 100 ms */
  constructor(share: number) {
    this.#share = share
  }

  /** @throws the reason of the signal */
  async after(workedMs: number, signal: AbortSignal): Promise<void> {
    this.#owedMs += workedMs / this.#share - workedMs
    if (this.#owedMs < REST_MS_MIN) return
    const from = performance.now()
    await sleep(this.#owedMs, undefined, { signal })
    this.#owedMs -= performance.now() - from
  }
}

export interface Slicing {
  readonly after: number
  readonly last: number
  readonly share: number
  readonly signal: AbortSignal
}

/** @param work takes ids from `after` (exclusively) to `to` (inclusively) */
export async function inSlices(
  { after, last, share, signal }: Slicing,
  work: (after: number, to: number) => Promise<void>,
): Promise<void> {
  const rest = new Rest(share)
  let rows = ROWS_FIRST
  for (let at = after; at < last; ) {
    signal.throwIfAborted()
    const to = Math.min(at + rows, last)
    const start = performance.now()
    await work(at, to)
    const tookMs = performance.now() - start
    if (tookMs < SLICE_MS / 2) rows = Math.min(rows * 2, ROWS_MAX)
    else if (tookMs > SLICE_MS) rows = Math.max(Math.floor(rows / 2), 1)
    at = to
    await rest.after(tookMs, signal)
  }
}
