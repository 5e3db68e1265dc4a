// Signals between the processes of one server on one machine.
import { type Signals, Subscriptions } from '#db/signals.ts'

/** One process's end: what it publishes goes out, and what others published comes in by `receive`. */
export class ChannelSignals implements Signals {
  readonly #subscriptions = new Subscriptions()
  readonly #send: (topic: string, text: string) => void

  constructor(send: (topic: string, text: string) => void) {
    this.#send = send
  }

  publish(topic: string, text = ''): void {
    this.#send(topic, text)
    setImmediate(() => this.#subscriptions.deliver(topic, text))
  }

  receive(topic: string, text: string): void {
    this.#subscriptions.deliver(topic, text)
  }

  subscribe(topic: string, handler: (text: string) => void): () => void {
    return this.#subscriptions.add(topic, handler)
  }

  async close(): Promise<void> {
    this.#subscriptions.clear()
  }
}
