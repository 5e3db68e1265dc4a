// A program that runs beside a test: started, waited for, stopped by its id, its output kept in bounds.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

/** As much of the output as a failure message needs. */
const OUTPUT_CHARS_MAX = 16_384
const STOP_TIMEOUT_MS = 15_000

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

export class RunningProcess {
  readonly name: string
  readonly pid: number
  readonly startedAtMs = performance.now()
  #child: ChildProcess
  #output = ''

  private constructor(name: string, child: ChildProcess, pid: number) {
    this.name = name
    this.pid = pid
    this.#child = child
    const keep = (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString('utf8')).slice(-OUTPUT_CHARS_MAX)
    }
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    // Whoever ends the test ends what it started; first, before anybody takes away what the program uses.
    const endToo = () => child.kill('SIGKILL')
    process.prependOnceListener('exit', endToo)
    child.once('exit', () => process.off('exit', endToo))
  }

  /** @throws Error when the program cannot be started */
  static async start(
    name: string,
    command: string,
    args: readonly string[],
    options: StartOptions = {},
  ): Promise<RunningProcess> {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    })
    if (child.pid === undefined) {
      const [error] = await once(child, 'error')
      throw new Error(`${name} could not be started: ${command}`, { cause: error })
    }
    return new RunningProcess(name, child, child.pid)
  }

  /** The last part of what the program printed on both streams. */
  get output(): string {
    return this.#output
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /**
   * Resolves to the milliseconds since the start when `url` answers at all with one of `statuses`.
   * @throws Error with the program's output when it ends first or the time is over
   */
  async untilAnswers(url: string, timeoutMs = 20_000, statuses = [200, 401], pollMs = 10): Promise<number> {
    while (performance.now() - this.startedAtMs < timeoutMs) {
      if (this.hasEnded) throw new Error(`${this.name} ended before it answered:\n${this.#output}`)
      const status = await fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
        async (response) => {
          await response.arrayBuffer()
          return response.status
        },
        () => 0,
      )
      if (statuses.includes(status)) return performance.now() - this.startedAtMs
      await sleep(pollMs)
    }
    throw new Error(`${this.name} did not answer at ${url} within ${timeoutMs} ms:\n${this.#output}`)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /**
   * Resolves to the exit code, or the signal that ended the program.
   * @throws Error with the program's output when it does not end in time
   */
  async untilEnds(timeoutMs: number): Promise<number | NodeJS.Signals> {
    if (!this.hasEnded) {
      // Closed, and not only exited: then the output is whole.
      await once(this.#child, 'close', { signal: AbortSignal.timeout(timeoutMs) }).catch((cause) => {
        throw new Error(`${this.name} did not end within ${timeoutMs} ms:\n${this.#output}`, { cause })
      })
    }
    return this.#child.signalCode ?? this.#child.exitCode ?? 0
  }

  /** Asks the program to end, and ends it when it does not within the deadline. Returns whether it went by itself. */
  async stop(timeoutMs = STOP_TIMEOUT_MS): Promise<boolean> {
    if (this.hasEnded) return true
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs)
    await ended
    clearTimeout(timer)
    return this.#child.signalCode !== 'SIGKILL'
  }

  /** Ends the program at once, as a crash would. */
  async kill(): Promise<void> {
    if (this.hasEnded) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}
