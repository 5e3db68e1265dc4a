// What clients have used of their rates, as this process knows it, and what it has not yet told the others.
//
// A client's bucket is one number: when all that it used is forgotten. Using something puts that off by windowMs / amount, and
// more may be used while it is less than windowMs away. So what was used comes back evenly: nobody has to wait for the end of a
// window, nor can he use two windows at once where they meet (the "generic cell rate algorithm").
import { Lru } from '#lib/lru.ts'
import type { Rate } from '#lib/rate.ts'

interface Bucket {
  /** By the clock of this process; in the past for one that is free. */
  freeAtMs: number
}

/** What a client may be told of its rate. */
export interface Remainder {
  readonly remaining: number
  /** Until one more may be used; 0 when it may be now. */
  readonly waitMs: number
}

/** How far a process put off the time at which a client is free. */
export interface Untold {
  readonly key: string
  readonly costMs: number
}

/** Clients of all rates together; beyond it those used longest ago are forgotten here. The database still knows them. */
export const BUCKETS_MAX = 100_000
/** A floating point sum must not refuse the last one. */
const ROUNDING_MS = 1e-6

export class RateBuckets {
  readonly #now: () => number
  readonly #buckets = new Lru<string, Bucket>({ weightMax: BUCKETS_MAX, entryWeightMax: 1 })
  readonly #untold = new Map<string, number>()

  /** The clock must not go back: milliseconds of any origin. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Whether anything was used here, or asked of the others, lately. */
  knows(key: string): boolean {
    return this.#buckets.get(key) !== undefined
  }

  remainder(key: string, rate: Rate): Remainder {
    const usedMs = Math.max(0, (this.#buckets.get(key)?.freeAtMs ?? 0) - this.#now())
    const eachMs = rate.windowMs / rate.amount
    const roomMs = rate.windowMs - usedMs + ROUNDING_MS
    return {
      remaining: Math.max(0, Math.floor(roomMs / eachMs)),
      waitMs: Math.max(0, Math.ceil(eachMs - roomMs)),
    }
  }

  /** Uses so much, also more than is left: then nothing is until that came back. Negative to give back. */
  use(key: string, rate: Rate, amount: number): void {
    const costMs = (amount * rate.windowMs) / rate.amount
    const bucket = this.#buckets.get(key) ?? this.#make(key)
    bucket.freeAtMs = Math.max(bucket.freeAtMs, this.#now()) + costMs
    this.#addUntold({ key, costMs })
  }

  /** Clients of which the database does not know all. */
  get untold(): number {
    return this.#untold.size
  }

  /** What the database does not know yet, the oldest first. What is used from now on counts for the next time. */
  takeUntold(countMax: number): Untold[] {
    const taken: Untold[] = []
    for (const [key, costMs] of this.#untold) {
      if (taken.length === countMax) break
      taken.push({ key, costMs })
    }
    for (const { key } of taken) this.#untold.delete(key)
    return taken
  }

  /** The database could not be told. */
  putBack(untold: readonly Untold[]): void {
    for (const one of untold) this.#addUntold(one)
  }

  /** How long it takes to be free, as the database has it now: with what other processes told it. */
  learn(key: string, freeInMs: number): void {
    const bucket = this.#buckets.get(key)
    if (bucket) bucket.freeAtMs = this.#now() + freeInMs + (this.#untold.get(key) ?? 0)
  }

  #make(key: string): Bucket {
    const bucket = { freeAtMs: 0 }
    this.#buckets.set(key, bucket, 1)
    return bucket
  }

  #addUntold({ key, costMs }: Untold): void {
    const before = this.#untold.get(key)
    if (before === undefined && this.#untold.size >= BUCKETS_MAX) return
    this.#untold.set(key, (before ?? 0) + costMs)
  }
}
