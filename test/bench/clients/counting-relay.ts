// Stands between a client and a registry and counts the bytes of blobs in both directions. Not for a run that is timed.
import { once } from 'node:events'
import { Agent, createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'

const CONNECTIONS_MAX = 64

export class CountingRelay {
  readonly #server: Server
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS_MAX })
  readonly #target: string
  /** Bodies of requests and replies below `/blobs/`, as far as they went. */
  blobBytes = 0

  private constructor(target: string) {
    this.#target = target
    this.#server = createServer((incoming, reply) => {
      const { method, url, headers } = incoming
      const isBlob = url?.includes('/blobs/') ?? false
      const count = (bytes: number) => {
        if (isBlob) this.blobBytes += bytes
      }
      // The Host header stays, so a Location of the registry leads here again.
      const outgoing = request(new URL(url ?? '/', this.#target), { method, headers, agent: this.#agent })
      incoming.on('data', (chunk: Buffer) => count(chunk.length))
      outgoing.on('response', (response) => {
        reply.writeHead(response.statusCode ?? 502, response.rawHeaders)
        response.on('data', (chunk: Buffer) => count(chunk.length))
        pipeline(response, reply).catch(() => reply.destroy())
      })
      outgoing.on('error', () => reply.destroy())
      pipeline(incoming, outgoing).catch(() => reply.destroy())
    })
  }

  static async start(target: string): Promise<CountingRelay> {
    const relay = new CountingRelay(target)
    relay.#server.listen(0, '127.0.0.1')
    await once(relay.#server, 'listening')
    return relay
  }

  /** `127.0.0.1:<port>` */
  get host(): string {
    const { port } = this.#server.address() as AddressInfo
    return `127.0.0.1:${port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    this.#agent.destroy()
    await once(this.#server, 'close')
  }
}
