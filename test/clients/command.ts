// Runs a real program to its end: output kept to a limit, the whole process group ended when it takes too long.
import { spawn } from 'node:child_process'

const COMMAND_MS_MAX = 120_000
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024
const EXCERPT_CHARS_MAX = 2_000

export interface CommandOptions {
  readonly cwd?: string
  /** The whole environment of the program: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>
  /** What the program reads on standard input; nothing when left out. */
  readonly input?: string
}

export interface Outcome {
  /** The exit code; -1 when a signal ended the program. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A program that did not end as the scenario needs. The message shows the command and the end of its output. */
export class CommandError extends Error {
  constructor(line: string, outcome: Outcome, expected: string) {
    const output = `${outcome.stderr}\n${outcome.stdout}`.trim().slice(-EXCERPT_CHARS_MAX)
    super(`${line}\n  exit code ${outcome.code}, expected ${expected}\n${output}`)
    this.name = 'CommandError'
  }
}

/** Runs `program` and reports how it ended; throws only when it cannot be started or does not end in time. */
export function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    // A group of its own, so that a credential helper or a container runtime ends with its parent.
    const child = spawn(program, args, {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: options.env,
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    })
    const stdout = gather(child.stdout)
    const stderr = gather(child.stderr)
    let late = false
    const timer = setTimeout(() => {
      late = true
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, COMMAND_MS_MAX)
    child.once('error', (cause) => {
      clearTimeout(timer)
      reject(new Error(`${program} did not start`, { cause }))
    })
    child.once('close', (code) => {
      clearTimeout(timer)
      const outcome = { code: code ?? -1, stdout: stdout(), stderr: stderr() }
      if (late) {
        reject(new CommandError(commandLine(program, args), outcome, `an end within ${COMMAND_MS_MAX} ms`))
      } else resolve(outcome)
    })
    // A program that ends without reading its input breaks the pipe: its exit code tells the story.
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
  })
}

/** The command as one would type it, for a message. */
export function commandLine(program: string, args: readonly string[]): string {
  return `$ ${[program, ...args].map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(' ')}`
}

function gather(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = []
  let bytes = 0
  stream.on('data', (chunk: Buffer) => {
    if (bytes >= OUTPUT_BYTES_MAX) return
    chunks.push(chunk)
    bytes += chunk.length
  })
  return () => Buffer.concat(chunks).toString('utf8')
}
