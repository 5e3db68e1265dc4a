// What a collection of garbage works with.
import type { Listing } from '#blobs/store.ts'
import type { DatabaseClock } from '#db/clock.ts'
import type { Registry } from '#registry/registry.ts'

/** What it needs of the registry. */
export type Collected = Pick<Registry, 'db' | 'storage' | 'content' | 'settings' | 'now' | 'log' | 'announce'>

export interface Collector {
  readonly registry: Collected
  /** Grace is measured by one clock, whichever process began. */
  readonly clock: DatabaseClock
  /** Every file of the store; undefined where it cannot be listed. */
  readonly listing: Listing | undefined
  /** False while a tree of link files is not read to its end: what it holds would look like garbage. */
  readonly isReady: () => boolean
  readonly limits: GcLimits
}

export interface GcLimits {
  /** Blobs deleted in a second; 0 for no limit. */
  readonly deletesPerSecond: number
  /** Bytes deleted in a second; 0 for no limit. */
  readonly bytesPerSecond: number
  /** How much of the time the search works, from 0 to 1: the rest is for requests. */
  readonly share: number
}
