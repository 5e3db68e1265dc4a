// Runs a command line in this process, with what it printed and how it ended.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Output } from '#cli/output.ts'
import { type Actions, runProgram } from '#cli/program.ts'
import { clientEnvironment } from '#config/environment.ts'

export interface Run {
  readonly code: number
  readonly results: string[]
  readonly notes: string[]
}

export interface Surroundings {
  /** Of the variables only these are seen; HOME is an empty folder unless it is one of them. */
  readonly env?: Readonly<Record<string, string>>
  readonly password?: string
  /** What the person at the terminal answers; without it there is none. */
  readonly answer?: string
  readonly signal?: AbortSignal
  /** Sees each note when it is printed. */
  readonly onNote?: (line: string) => void
}

/** A folder for the files of one test, below the system's folder for temporary files. */
export function scratchFolder(): string {
  return mkdtempSync(join(tmpdir(), 'stowage-cli-'))
}

export async function run(args: readonly string[], around: Surroundings = {}): Promise<Run> {
  const results: string[] = []
  const notes: string[] = []
  const unexpected = async () => {
    throw new Error('this test has no server of its own')
  }
  const actions: Actions = {
    serve: unexpected,
    work: unexpected,
    checkConfig: async () => ({ text: 'version: 0.1\n', warnings: ['doubtful'] }),
    adopt: unexpected,
    collectGarbage: unexpected,
    copyDatabase: unexpected,
    rebuildDatabase: unexpected,
    snapshotDatabase: unexpected,
    resetPassword: unexpected,
    verifyAudit: unexpected,
    exportAudit: unexpected,
    readPassword: async () => around.password ?? '',
    readLine: async () => around.answer ?? '',
    canAsk: () => around.answer !== undefined,
    environment: () => clientEnvironment({ HOME: '/nonexistent', ...around.env }),
    interruption: () => around.signal ?? new AbortController().signal,
    version: '0.0.0',
  }
  const output: Output = {
    result: (line) => results.push(line),
    note: (line) => {
      notes.push(line)
      around.onNote?.(line)
    },
    draw: () => {},
    resultsOnTerminal: false,
    terminal: () => undefined,
  }
  const code = await runProgram('stowage', args, actions, output)
  return { code, results, notes }
}

/** Runs with --json and must end with 0: the one document that was printed. */
export async function runJson(args: readonly string[], around: Surroundings = {}) {
  const { code, results, notes } = await run(['--json', ...args], around)
  if (code !== 0)
    throw new Error(`stowage ${args.join(' ')} ended with ${code}: ${[...results, ...notes].join('\n')}`)
  if (results.length !== 1) throw new Error(`${results.length} results instead of one document`)
  return JSON.parse(results[0] ?? '')
}
