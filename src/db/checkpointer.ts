// Asks for a checkpoint after every so many commits, and when the disk is full. The thread starts with the first one: an idle server has none.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

const COMMITS_PER_CHECKPOINT = 500

export class Checkpointer {
  #path: string
  #onError: (error: Error) => void
  #worker: Worker | undefined
  #running = false
  #commits = 0

  constructor(path: string, onError: (error: Error) => void) {
    this.#path = path
    this.#onError = onError
  }

  committed(): void {
    this.#commits += 1
    if (this.#commits >= COMMITS_PER_CHECKPOINT) this.request()
  }

  /** Begins a checkpoint, unless one is under way. */
  request(): void {
    if (this.#running) return
    this.#commits = 0
    this.#running = true
    this.#start().postMessage('checkpoint')
  }

  #start(): Worker {
    if (this.#worker) return this.#worker
    const worker = new Worker(new URL('./checkpoint-worker.ts', import.meta.url), {
      workerData: { path: this.#path },
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 },
    })
    worker.unref()
    worker.on('message', (answer: string) => {
      this.#running = false
      if (answer !== 'done') this.#onError(new Error(`checkpoint ${answer}`))
    })
    worker.on('error', (error: Error) => {
      this.#running = false
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
  }
}
