// What is required of our command beside the others, and whether it is met.
import type { Carried, CarryRow } from './compare-carriers.ts'

export const REQUIRED = {
  /** Of the wall time of the fastest of the others. */
  wallAtMost: 1,
  /** Of the CPU time of that one. */
  cpuAtMost: 1.2,
  peakBytesMax: 200 * 1_000_000,
} as const

export interface Verdict {
  readonly fastest: Carried
  readonly wall: number
  readonly cpu: number
  readonly met: boolean
}

export function judge({ ours, peers, set }: CarryRow): Verdict {
  const [fastest] = [...peers].sort((a, b) => a.wallSeconds - b.wallSeconds)
  if (!fastest) throw new Error('there is nobody to compare with')
  const wall = ours.wallSeconds / fastest.wallSeconds
  const cpu = ours.cpuSeconds / fastest.cpuSeconds
  const met =
    wall <= REQUIRED.wallAtMost &&
    cpu <= REQUIRED.cpuAtMost &&
    ours.peakBytes <= REQUIRED.peakBytesMax &&
    (ours.movedBytes === undefined || ours.movedBytes === set.blobBytes)
  return { fastest, wall, cpu, met }
}
