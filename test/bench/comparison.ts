// Measures both sides in turn, A B A B, so that what the machine does meanwhile hits both; keeps the medians.
import { cpuSecondsOf, untilQuiet } from '../processes/usage.ts'
import type { Effort, Scenario, Side } from './scenario.ts'

/** Work that a server put off belongs to the operation that caused it: it is waited for and counted. */
const QUIET_TIMEOUT_MS = 10_000

export interface Measured {
  /** CPU seconds of the server for one operation. */
  readonly cpuSeconds: number
  /** Operations in a second. */
  readonly rate: number
}

export interface Row {
  readonly scenario: Scenario
  /** How many of `rateUnit` one operation is. */
  readonly perOperation: number
  readonly ours: Measured
  readonly theirs: Measured
}

/** The middle value; of an even number of values, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.ceil(sorted.length / 2) - 1]
  if (upper === undefined || lower === undefined) throw new Error('there is no median of nothing')
  return (lower + upper) / 2
}

async function measure(scenario: Scenario, side: Side, effort: Effort, round: number): Promise<Measured> {
  const { pid } = side.server.process
  await untilQuiet(pid, QUIET_TIMEOUT_MS)
  const before = cpuSecondsOf(pid)
  const { operations, seconds, discard } = await scenario.load(side, effort, round)
  await untilQuiet(pid, QUIET_TIMEOUT_MS)
  const cpuSeconds = (cpuSecondsOf(pid) - before) / operations
  await discard?.()
  return { cpuSeconds, rate: operations / seconds }
}

function mediansOf(measured: readonly Measured[]): Measured {
  return {
    cpuSeconds: median(measured.map((one) => one.cpuSeconds)),
    rate: median(measured.map((one) => one.rate)),
  }
}

/** @throws Error when a request is refused or a registry ends; never because of a figure */
export async function compare(scenario: Scenario, ours: Side, theirs: Side, effort: Effort): Promise<Row> {
  const measured = new Map<Side, Measured[]>([
    [ours, []],
    [theirs, []],
  ])
  for (const side of measured.keys()) {
    await scenario.prepare(side, effort)
    await scenario.warmUp?.(side, effort)
  }
  for (let round = 0; round < effort.rounds; round++) {
    for (const [side, results] of measured) results.push(await measure(scenario, side, effort, round))
  }
  return {
    scenario,
    perOperation: scenario.ratePerOperation?.(effort) ?? 1,
    ours: mediansOf(measured.get(ours) ?? []),
    theirs: mediansOf(measured.get(theirs) ?? []),
  }
}

/** Ours divided by theirs. */
export function ratiosOf(row: Row): { readonly cpu: number; readonly rate: number } {
  return {
    cpu: row.ours.cpuSeconds / row.theirs.cpuSeconds,
    rate: row.ours.rate / row.theirs.rate,
  }
}

export function isMet(row: Row): boolean {
  const { cpu, rate } = ratiosOf(row)
  return cpu <= row.scenario.required.cpuAtMost && rate >= row.scenario.required.rateAtLeast
}
