// What a process costs, told from outside by Linux: proc(5).
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** The unit of utime and stime. Linux fixes USER_HZ at 100 on every architecture that we run on. */
const TICKS_PER_SEC = 100

function readStat(pid: number): { parent: number; ticks: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field, the name, may hold spaces and brackets: count from behind it.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }
  } catch {
    return undefined
  }
}

/** The process and every living descendant of it. */
function familyOf(root: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? readStat(Number(name)) : undefined
    if (stat) parents.set(Number(name), stat.parent)
  }
  const family = [root]
  for (const member of family) {
    for (const [pid, parent] of parents) if (parent === member) family.push(pid)
  }
  return family
}

/** The living children of a process, not theirs. */
export function childrenOf(pid: number): number[] {
  return familyOf(pid).filter((member) => readStat(member)?.parent === pid)
}

/** User plus system time of all threads of the process and its descendants, in seconds, to 10 ms. */
export function cpuSecondsOf(pid: number): number {
  const ticks = familyOf(pid).reduce((sum, member) => sum + (readStat(member)?.ticks ?? 0), 0)
  return ticks / TICKS_PER_SEC
}

export interface Memory {
  /** Resident now (VmRSS). */
  readonly residentBytes: number
  /** The most that was ever resident (VmHWM). */
  readonly peakBytes: number
}

/** Memory of the process and its descendants. */
export function memoryOf(pid: number): Memory {
  let residentBytes = 0
  let peakBytes = 0
  for (const member of familyOf(pid)) {
    const status = readFileSync(`/proc/${member}/status`, 'utf8')
    residentBytes += 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0)
    peakBytes += 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0)
  }
  return { residentBytes, peakBytes }
}

const QUIET_WINDOW_MS = 150
const QUIET_CPU_SECONDS = 0.01

/**
 * Waits until the process has finished what it put off (batched writes, background work): two windows in a row in
 * which it used at most one tick. Returns false when it is still busy at the deadline.
 */
export async function untilQuiet(pid: number, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  let before = cpuSecondsOf(pid)
  let quietWindows = 0
  while (quietWindows < 2) {
    if (performance.now() > deadline) return false
    await sleep(QUIET_WINDOW_MS)
    const now = cpuSecondsOf(pid)
    quietWindows = now - before <= QUIET_CPU_SECONDS + 1e-9 ? quietWindows + 1 : 0
    before = now
  }
  return true
}
