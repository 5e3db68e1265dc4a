// A worker's end of the channel to the process that started it.
import process from 'node:process'
import { ChannelSignals } from '#cluster/channel-signals.ts'
import type { Order, Report } from '#cluster/messages.ts'

export interface Tasks {
  /** The numbers of this process, for the sum of all. */
  measure(): Promise<unknown>
  reload(): Promise<void>
}

export class WorkerLink<Init> {
  readonly signals = new ChannelSignals((topic, text) => this.#report({ kind: 'signal', topic, text }))
  readonly #begun = Promise.withResolvers<Init>()
  readonly #stopped = Promise.withResolvers<void>()
  #tasks: Tasks | undefined

  constructor() {
    process.on('message', (order: Order<Init>) => this.#take(order))
    this.#report({ kind: 'up' })
  }

  /** What this worker is to begin with. */
  get begun(): Promise<Init> {
    return this.#begun.promise
  }

  /** Resolves when this worker is to end. */
  get stopped(): Promise<void> {
    return this.#stopped.promise
  }

  ready(address: string, port: number | undefined, tasks: Tasks): void {
    this.#tasks = tasks
    this.#report({ kind: 'ready', address, port })
  }

  failed(message: string): Promise<void> {
    return new Promise((resolve) => {
      if (!process.connected) resolve()
      else process.send?.({ kind: 'failed', message } satisfies Report, undefined, {}, () => resolve())
    })
  }

  #take(order: Order<Init>): void {
    if (order.kind === 'begin') this.#begun.resolve(order.init)
    if (order.kind === 'signal') this.signals.receive(order.topic, order.text)
    if (order.kind === 'stop') this.#stopped.resolve()
    if (order.kind === 'measure') this.#answer(order.id, this.#tasks?.measure())
    if (order.kind === 'reload') this.#answer(order.id, this.#tasks?.reload())
  }

  #answer(id: number, work: Promise<unknown> | undefined): void {
    Promise.resolve(work).then(
      (value) => this.#report({ kind: 'answer', id, value }),
      (error) => this.#report({ kind: 'answer', id, error: String(error) }),
    )
  }

  /** Without the other process this one ends, so that nobody misses what is not sent. */
  #report(report: Report): void {
    if (process.connected) process.send?.(report, undefined, {}, () => {})
  }
}
