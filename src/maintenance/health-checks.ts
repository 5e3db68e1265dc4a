// registry:2's `health` section: checks that run again and again; one that failed often enough makes us unhealthy.
import { stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { type Periodic, runPeriodically } from '#maintenance/periodic.ts'
import type { Log } from '#telemetry/log.ts'

export interface HealthCheck {
  /** As `/debug/health` shows it. */
  readonly name: string
  readonly everyMs: number
  /** Failures in a row that count. */
  readonly threshold: number
  /** Rejects with the reason when something is wrong. */
  readonly run: () => Promise<void>
}

export class HealthChecks {
  readonly #failing = new Map<string, string>()
  readonly #tasks: Periodic[]

  constructor(checks: readonly HealthCheck[], log: Log) {
    this.#tasks = checks.map((check) => this.#start(check, log))
  }

  /** What is wrong now, by the name of the check. */
  failing(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#failing)
  }

  get healthy(): boolean {
    return this.#failing.size === 0
  }

  async stop(): Promise<void> {
    for (const task of this.#tasks) await task.stop()
  }

  #start(check: HealthCheck, log: Log): Periodic {
    let failures = 0
    const once = async () => {
      try {
        await check.run()
        failures = 0
        if (this.#failing.delete(check.name)) log.info('a health check passes again', { check: check.name })
      } catch (error) {
        failures += 1
        const reason = error instanceof Error ? error.message : String(error)
        if (failures < check.threshold) return
        if (!this.#failing.has(check.name)) log.error('a health check fails', { check: check.name, reason })
        this.#failing.set(check.name, reason)
      }
    }
    return runPeriodically(`health check ${check.name}`, { everyMs: check.everyMs, firstMs: 0 }, once, log)
  }
}

/** Wrong while the file exists: registry:2's way to take a server out of service by hand. */
export async function fileIsAbsent(file: string): Promise<void> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (found) throw new Error(`the file ${file} exists`)
}

/** Wrong unless a HEAD of the address has the status. */
export async function answers(
  address: string,
  wanted: {
    readonly status: number
    readonly timeoutMs: number
    readonly headers: ReadonlyMap<string, string>
  },
): Promise<void> {
  const { status } = await fetch(address, {
    method: 'HEAD',
    redirect: 'manual',
    headers: Object.fromEntries(wanted.headers),
    signal: AbortSignal.timeout(wanted.timeoutMs),
  })
  if (status !== wanted.status) throw new Error(`${address} answers ${status}, not ${wanted.status}`)
}

/** Wrong unless `host:port` takes a connection. */
export function accepts(address: string, timeoutMs: number): Promise<void> {
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(address.slice(colon + 1)), timeout: timeoutMs })
    const settle = (error?: Error) => {
      socket.destroy()
      if (error) reject(error)
      else resolve()
    }
    socket.once('connect', () => settle())
    socket.once('timeout', () => settle(new Error(`${address} did not accept within ${timeoutMs} ms`)))
    socket.once('error', settle)
  })
}
