// The connections of a server: which are open and which are at work, so that a stop ends the idle and waits for the others.
import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

export class Connections {
  /** As the system has them: below TLS, where there is TLS. */
  readonly #open = new Set<Socket>()
  /** As requests have them: above TLS. */
  readonly #speaking = new Set<Socket | TLSSocket>()
  readonly #latest = new WeakMap<Socket, ServerResponse>()

  constructor(node: Server, secure: boolean) {
    node.on('connection', (socket: Socket) => {
      remember(this.#open, socket)
      if (!secure) remember(this.#speaking, socket)
    })
    node.on('secureConnection', (socket: TLSSocket) => remember(this.#speaking, socket))
  }

  /** A request has begun. Replies leave a connection in the order of their requests: the last one stands for all. */
  began(response: ServerResponse): void {
    this.#latest.set(response.req.socket, response)
  }

  /** Ends those that have nothing under way; a request whose headers are not complete has not begun. */
  endIdle(): void {
    for (const socket of this.#speaking) {
      // HTTP/2 sessions say goodbye in their own way when the server closes.
      if ('alpnProtocol' in socket && socket.alpnProtocol === 'h2') continue
      if (!this.#isAtWork(socket)) socket.destroySoon()
    }
  }

  cutAll(): void {
    for (const socket of this.#open) socket.destroy()
  }

  #isAtWork(socket: Socket): boolean {
    const response = this.#latest.get(socket)
    return response !== undefined && !(response.writableFinished && response.req.complete)
  }
}

function remember(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket)
  socket.once('close', () => sockets.delete(socket))
}
