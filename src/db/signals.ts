// Hints between processes that there is something to look at again. A signal may be lost, or come twice: whoever listens
// also looks by itself, within a bound that it states.

/** Bytes of topic and text together: what one notification of PostgreSQL carries (8,000), less its own framing. */
export const SIGNAL_BYTES_MAX = 7_900

export interface Signals {
  /** Reaches every subscriber of the topic in every process, this one among them. Never throws, never waits. */
  publish(topic: string, text?: string): void
  /** Returns what ends the subscription. The handler must not throw. */
  subscribe(topic: string, handler: (text: string) => void): () => void
  close(): Promise<void>
}

/** Subscribers of one process, and what every implementation delivers to. */
export class Subscriptions {
  readonly #handlers = new Map<string, Set<(text: string) => void>>()

  add(topic: string, handler: (text: string) => void): () => void {
    const handlers = this.#handlers.get(topic) ?? new Set()
    this.#handlers.set(topic, handlers)
    handlers.add(handler)
    return () => {
      handlers.delete(handler)
      if (handlers.size === 0 && this.#handlers.get(topic) === handlers) this.#handlers.delete(topic)
    }
  }

  deliver(topic: string, text: string): void {
    for (const handler of [...(this.#handlers.get(topic) ?? [])]) handler(text)
  }

  /** After a time in which signals may have been lost: everybody looks again. */
  deliverToAll(): void {
    for (const topic of [...this.#handlers.keys()]) this.deliver(topic, '')
  }

  clear(): void {
    this.#handlers.clear()
  }
}

/** For a single process. Handlers run after the publisher's own turn, as they do with any other implementation. */
export class LocalSignals implements Signals {
  readonly #subscriptions = new Subscriptions()

  publish(topic: string, text = ''): void {
    setImmediate(() => this.#subscriptions.deliver(topic, text))
  }

  subscribe(topic: string, handler: (text: string) => void): () => void {
    return this.#subscriptions.add(topic, handler)
  }

  async close(): Promise<void> {
    this.#subscriptions.clear()
  }
}
