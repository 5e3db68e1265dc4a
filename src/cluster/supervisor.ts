// The first process of a server with workers: starts them, starts those that died again, passes on what they say to each
// other, and ends them.
import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { ChannelSignals } from '#cluster/channel-signals.ts'
import type { Order, Report } from '#cluster/messages.ts'
import type { Log } from '#telemetry/log.ts'

/** Between the death of a worker and its next start; doubled for each that dies young. */
const RESTART_FIRST_MS = 500
const RESTART_LAST_MS = 30_000
/** A worker that lived for so long has not died of its start. */
const SETTLED_MS = 60_000
const ANSWER_MS_MAX = 10_000
/** Beyond the drain time, for closing what a worker has open. */
const CLOSING_MS_MAX = 5_000

export interface SupervisorOptions<Init> {
  readonly workers: number
  /** What a worker begins with; asked anew for each start of one. `name` is told apart from all before and after it. */
  readonly init: (name: string) => Init
  readonly newName: () => string
  /** A worker is gone, with everything that it had open. */
  readonly onGone: (name: string) => Promise<void>
  readonly log: Log
}

interface Running {
  readonly name: string
  readonly worker: Worker
  isReady: boolean
}

interface Asked {
  readonly worker: Worker
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

export interface Place {
  readonly address: string
  readonly port: number | undefined
}

export class Supervisor<Init> {
  readonly signals: ChannelSignals
  readonly #options: SupervisorOptions<Init>
  readonly #running = new Set<Running>()
  readonly #asked = new Map<number, Asked>()
  readonly #stopping = new AbortController()
  #questions = 0

  constructor(options: SupervisorOptions<Init>) {
    this.#options = options
    this.signals = new ChannelSignals((topic, text) => this.#pass(topic, text))
    // Workers take connections from the system. Dealt out from here, one that is on its way to a worker that dies would hang.
    cluster.schedulingPolicy = cluster.SCHED_NONE
    cluster.setupPrimary({ serialization: 'advanced' })
  }

  /** How many workers serve now. */
  get ready(): number {
    return [...this.#running].filter(({ isReady }) => isReady).length
  }

  /** Starts all workers. @throws Error with the sentence of the first that could not */
  async start(): Promise<Place> {
    const slots = Array.from({ length: this.#options.workers }, () => this.#begin())
    const places = await Promise.all(slots.map(({ ready }) => ready))
    for (const { gone, running } of slots) void this.#keep(running, gone)
    const [place] = places
    if (!place) throw new Error('a server needs a worker')
    return place
  }

  /** One worker, from its start to its end. */
  #begin(): { readonly running: Running; readonly ready: Promise<Place>; readonly gone: Promise<void> } {
    const { log, onGone, newName, init } = this.#options
    const worker = cluster.fork()
    const running: Running = { name: newName(), worker, isReady: false }
    this.#running.add(running)
    const ready = Promise.withResolvers<Place>()
    // Whoever starts the first ones is told; of later ones it is enough that they end.
    ready.promise.catch(() => {})
    worker.on('message', (report: Report) => {
      if (report.kind === 'up') this.#order(worker, { kind: 'begin', init: init(running.name) })
      if (report.kind === 'signal') {
        this.signals.receive(report.topic, report.text)
        this.#pass(report.topic, report.text, worker)
      }
      if (report.kind === 'answer') this.#answered(report.id, report)
      if (report.kind === 'failed') ready.reject(new Error(report.message))
      if (report.kind === 'ready') {
        running.isReady = true
        ready.resolve({ address: report.address, port: report.port })
      }
    })
    worker.on('error', (error) => log.error('a worker cannot be spoken to', { error: String(error) }))
    const gone = once(worker, 'exit').then(async ([code, signal]) => {
      this.#running.delete(running)
      for (const [id, asked] of this.#asked)
        if (asked.worker === worker) this.#answered(id, { error: 'the worker is gone' })
      ready.reject(new Error(`a worker ended before it was ready (${signal ?? code})`))
      if (!this.#stopping.signal.aborted)
        log.error('a worker died', { pid: worker.process.pid, code, signal: signal ?? undefined })
      await onGone(running.name).catch((error) =>
        log.error('what a worker left could not be cleared', { error: String(error) }),
      )
    })
    return { running, ready: ready.promise, gone }
  }

  /** Starts a worker again whenever it dies. */
  async #keep(first: Running, firstGone: Promise<void>): Promise<void> {
    const { signal } = this.#stopping
    let [gone, pauseMs, beganAt] = [firstGone, RESTART_FIRST_MS, performance.now()]
    let running = first
    for (;;) {
      await gone
      if (signal.aborted) return
      if (performance.now() - beganAt > SETTLED_MS) pauseMs = RESTART_FIRST_MS
      await wait(pauseMs, undefined, { signal, ref: false }).catch(() => {})
      if (signal.aborted) return
      pauseMs = Math.min(pauseMs * 2, RESTART_LAST_MS)
      beganAt = performance.now()
      const next = this.#begin()
      gone = next.gone
      running = next.running
      next.ready.then(
        () => this.#options.log.info('a worker was started again', { pid: running.worker.process.pid }),
        (error) => this.#options.log.error('a worker could not be started again', { error: error.message }),
      )
    }
  }

  /** What every worker that serves answers; one that does not answer in time is left out. */
  async measure(): Promise<unknown[]> {
    const answers = await Promise.allSettled(
      this.#serving().map(({ worker }) => this.#ask(worker, 'measure')),
    )
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
  }

  /** @throws Error when a worker could not */
  async reload(): Promise<void> {
    await Promise.all(this.#serving().map(({ worker }) => this.#ask(worker, 'reload')))
  }

  /** Lets every worker finish its transfers, and ends those that do not within the drain time and a little. */
  async stop(drainMs: number): Promise<void> {
    this.#stopping.abort()
    const ending = [...this.#running].map(async ({ worker }) => {
      if (worker.isDead()) return
      const exited = once(worker, 'exit')
      this.#order(worker, { kind: 'stop' })
      const timer = setTimeout(() => worker.process.kill('SIGKILL'), drainMs + CLOSING_MS_MAX)
      await exited
      clearTimeout(timer)
    })
    await Promise.all(ending)
  }

  /** Ends every worker at once. */
  kill(): void {
    this.#stopping.abort()
    for (const { worker } of this.#running) worker.process.kill('SIGKILL')
  }

  #serving(): Running[] {
    return [...this.#running].filter(({ isReady }) => isReady)
  }

  #ask(worker: Worker, kind: 'measure' | 'reload'): Promise<unknown> {
    this.#questions += 1
    const id = this.#questions
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#asked.set(id, { worker, resolve, reject })
    const timer = setTimeout(() => this.#answered(id, { error: 'the worker does not answer' }), ANSWER_MS_MAX)
    this.#order(worker, { kind, id })
    return promise.finally(() => clearTimeout(timer))
  }

  #answered(id: number, { value, error }: { value?: unknown; error?: string }): void {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    if (error === undefined) asked?.resolve(value)
    else asked?.reject(new Error(error))
  }

  #pass(topic: string, text: string, from?: Worker): void {
    for (const { worker } of this.#running)
      if (worker !== from) this.#order(worker, { kind: 'signal', topic, text })
  }

  /** One that cannot be reached is dying, and its end is told by itself. */
  #order(worker: Worker, order: Order<Init>): void {
    if (worker.isConnected()) worker.send(order, () => {})
  }
}
