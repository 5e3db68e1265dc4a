// When to try again, and how long to wait before it.
import { isClientError } from '#client/client-error.ts'
import { pause } from '#client/pause.ts'

export interface RetryOptions {
  /** Tries in a row without progress, the first included. */
  readonly attemptsMax: number
  readonly delayMinMs: number
  readonly delayMaxMs: number
  /** The longest Retry-After that is waited for; a longer one is an error that says so. */
  readonly retryAfterMaxMs: number
}

export const RETRY_DEFAULTS: RetryOptions = {
  attemptsMax: 6,
  delayMinMs: 200,
  delayMaxMs: 20_000,
  retryAfterMaxMs: 120_000,
}

/** Clock, chance and patience, passed in so that tests need none of them. */
export interface Waiting {
  /** Milliseconds since 1970. */
  now(): number
  /** From 0 to 1, 1 excluded. */
  random(): number
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>
}

export const systemWaiting: Waiting = {
  now: () => Date.now(),
  random: () => Math.random(),
  sleep: pause,
}

/** Full jitter: anything up to a ceiling that doubles, but never less than half of the first delay. */
export function backoffMs(attempt: number, options: RetryOptions, random: () => number): number {
  const ceiling = Math.min(options.delayMaxMs, options.delayMinMs * 2 ** (attempt - 1))
  return Math.max(options.delayMinMs / 2, ceiling * random())
}

/** Reads Retry-After: seconds or a date. RFC 9110, section 10.2.3. Undefined when it says neither. */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined
  if (/^\d{1,9}$/.test(value.trim())) return Number(value.trim()) * 1000
  // Date.parse takes much for a date that is none: an HTTP date begins with the name of a day.
  const date = /^[A-Z][a-z]{2,8},? /.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

/** Counts tries in a row without progress, and waits between them. One for each transfer. */
export class Retries {
  readonly #options: RetryOptions
  readonly #waiting: Waiting
  #attempt = 0

  constructor(options: RetryOptions, waiting: Waiting) {
    this.#options = options
    this.#waiting = waiting
  }

  /** The transfer got on: what failed before it counts no more. */
  progressed(): void {
    this.#attempt = 0
  }

  /** Waits when another try makes sense, throws the error again when it does not. */
  async after(error: unknown, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    if (!isClientError(error) || !error.retryable) throw error
    this.#attempt += 1
    if (this.#attempt >= this.#options.attemptsMax) throw error
    const asked = error.retryAfterMs ?? 0
    if (asked > this.#options.retryAfterMaxMs) throw error
    // The registry's wish is a lower bound; jitter on top keeps a crowd from coming back in step.
    const delay = backoffMs(this.#attempt, this.#options, this.#waiting.random)
    await this.#waiting.sleep(asked > 0 ? asked + Math.min(delay, asked / 4) : delay, signal)
  }
}
