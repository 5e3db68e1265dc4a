// Runs a command to its end and tells what it cost: GNU time asks the kernel about the process and its children.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { requireProgram } from '../../tools/find-program.ts'
import type { CommandLine } from './carriers.ts'

const TIMEOUT_MS = 10 * 60_000
const OUTPUT_CHARS_MAX = 8_192

export interface Cost {
  readonly wallSeconds: number
  /** User and system time of the command and all that it waited for, to 10 ms. */
  readonly cpuSeconds: number
  /** The largest resident set of any one process of it (ru_maxrss). */
  readonly peakBytes: number
}

/**
 * @param folder where a file with the figures may be written
 * @throws Error with the end of the output when the command fails
 */
export async function runTimed([program, ...args]: CommandLine, folder: string): Promise<Cost> {
  const figures = join(folder, 'time.txt')
  // Started from a small program: a process that this one forks begins with this one's peak memory as its own.
  const timing = ['--quiet', '-f', '%U %S %M', '-o', figures, program, ...args]
  const began = performance.now()
  const child = spawn(requireProgram('time'), timing, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_CHARS_MAX)
    })
  }
  const [code] = await once(child, 'close')
  const wallSeconds = (performance.now() - began) / 1000
  if (code !== 0)
    throw new Error(`${[program, ...args].join(' ').slice(0, 300)} ended with ${code}:\n${output}`)
  const [user = Number.NaN, system = Number.NaN, peakKiB = Number.NaN] = readFileSync(figures, 'utf8')
    .trim()
    .split(' ')
    .map(Number)
  return { wallSeconds, cpuSeconds: user + system, peakBytes: peakKiB * 1024 }
}
