// Receives notifications over a real socket, and answers as it is told to.
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Told {
  readonly id: string
  readonly timestamp: string
  readonly action: string
  readonly target: Readonly<Record<string, unknown>>
  readonly request: Readonly<Record<string, string>>
  readonly actor: { readonly name?: string }
  readonly source: { readonly addr: string; readonly instanceID: string }
}

export class Receiver {
  /** Events that were answered with a success, in the order of their arrival. */
  readonly taken: Told[] = []
  /** All that came. */
  readonly tries: { readonly headers: IncomingHttpHeaders; readonly events: readonly Told[] }[] = []
  /** The status for the next request. */
  answer: (events: readonly Told[]) => number = () => 200
  readonly #server: Server
  #port = 0
  #changed = Promise.withResolvers<void>()

  private constructor() {
    this.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      const { events } = JSON.parse(Buffer.concat(chunks).toString()) as { events: Told[] }
      const status = this.answer(events)
      this.tries.push({ headers: request.headers, events })
      if (status < 400) this.taken.push(...events)
      // Before the answer: what counts is what was taken.
      this.#changed.resolve()
      this.#changed = Promise.withResolvers()
      response.writeHead(status).end()
    })
  }

  static async start(): Promise<Receiver> {
    const receiver = new Receiver()
    await receiver.listen()
    return receiver
  }

  /** Again on the same port after `down`. */
  async listen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** From now on nobody is there. */
  async down(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/hook`
  }

  /** Resolves when it is so; looked at again with each request that comes. */
  async until(condition: (receiver: Receiver) => boolean): Promise<void> {
    while (!condition(this)) await this.#changed.promise
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.listening) await this.down()
  }
}
