// Hands batches of link files to a thread, which starts with the first one.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { storageFailure } from '#blobs/file-calls.ts'
import type { KeyChange } from '#blobs/keys.ts'
import type { LinkAnswer, LinkBatch } from '#blobs/link-worker.ts'

const BATCHES_WAITING_MAX = 16

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class LinkWriter {
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | undefined
  #next = 0

  /** Paths are absolute. */
  apply(changes: readonly KeyChange[]): Promise<void> {
    if (changes.length === 0) return Promise.resolve()
    if (this.#waiting.size >= BATCHES_WAITING_MAX)
      return Promise.reject(new Error('too many batches of link files'))
    this.#next += 1
    const batch: LinkBatch = { id: this.#next, changes }
    return new Promise((resolve, reject) => {
      this.#waiting.set(batch.id, { resolve, reject })
      const worker = this.#start()
      worker.ref()
      worker.postMessage(batch)
    })
  }

  #start(): Worker {
    if (this.#worker) return this.#worker
    const worker = new Worker(new URL('./link-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
    })
    worker.on('message', ({ id, failure }: LinkAnswer) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (this.#waiting.size === 0) worker.unref()
      if (!failure) waiting?.resolve()
      else waiting?.reject(storageFailure(Object.assign(new Error(failure.message), { code: failure.code })))
    })
    worker.on('error', (error) => this.#fail(worker, error))
    worker.on('exit', () => this.#fail(worker, new Error('the thread that writes link files ended')))
    this.#worker = worker
    return worker
  }

  #fail(worker: Worker, error: unknown): void {
    if (this.#worker === worker) this.#worker = undefined
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }

  async close(): Promise<void> {
    const worker = this.#worker
    if (!worker) return
    worker.ref()
    const exited = once(worker, 'exit')
    worker.postMessage('close')
    await exited
  }
}
