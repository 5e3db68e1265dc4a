// Asks for a checkpoint after every so many commits, and when the disk is full. The thread starts with the first one: an idle server has none.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

const COMMITS_PER_CHECKPOINT = 500

export class Checkpointer {
  #path: string
  #onError: (error: Error) => void
  #onDue: (() => void) | undefined
  #worker: Worker | undefined
  #running: PromiseWithResolvers<void> | undefined
  #commits = 0

  /** `onDue` is told of a checkpoint that is due, where another process makes those for all. */
  constructor(path: string, onError: (error: Error) => void, onDue?: () => void) {
    this.#path = path
    this.#onError = onError
    this.#onDue = onDue
  }

  committed(): void {
    this.#commits += 1
    if (this.#commits < COMMITS_PER_CHECKPOINT) return
    if (!this.#onDue) return void this.request()
    this.#commits = 0
    this.#onDue()
  }

  /** Begins a checkpoint, unless one is under way. Resolves when it has ended, also when it failed. */
  request(): Promise<void> {
    if (this.#running) return this.#running.promise
    this.#commits = 0
    this.#running = Promise.withResolvers()
    this.#start().postMessage('checkpoint')
    return this.#running.promise
  }

  #ended(): void {
    this.#running?.resolve()
    this.#running = undefined
  }

  #start(): Worker {
    if (this.#worker) return this.#worker
    const worker = new Worker(new URL('./checkpoint-worker.ts', import.meta.url), {
      workerData: { path: this.#path },
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 },
    })
    worker.unref()
    worker.on('message', (answer: string) => {
      this.#ended()
      if (answer !== 'done') this.#onError(new Error(`checkpoint ${answer}`))
    })
    worker.on('error', (error: Error) => {
      this.#ended()
      this.#worker = undefined
      this.#onError(error)
    })
    this.#worker = worker
    return worker
  }

  async close(): Promise<void> {
    const worker = this.#worker
    if (!worker) return
    this.#worker = undefined
    worker.ref()
    const exited = once(worker, 'exit')
    worker.postMessage('close')
    await exited
    this.#ended()
  }
}
