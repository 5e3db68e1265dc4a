// A bare TCP connection: for requests that no HTTP client would send, and for sending slowly or not at all.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

const POLL_MS = 5

export class RawConnection {
  readonly socket: Socket
  received = ''
  closed = false

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.setNoDelay(true)
    this.socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1')
    })
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.closed = true
    })
  }

  static async open(port: number): Promise<RawConnection> {
    const connection = new RawConnection(port)
    await once(connection.socket, 'connect')
    return connection
  }

  write(text: string | Buffer): void {
    this.socket.write(text)
  }

  /** Waits until what has come fits; the text so far. */
  async until(pattern: RegExp, withinMs = 5_000): Promise<string> {
    await this.#poll(() => pattern.test(this.received), withinMs, `${pattern} in ${this.received}`)
    return this.received
  }

  /** Waits until the server has closed; resolves to how long that took, in milliseconds. */
  async untilClosed(withinMs = 10_000): Promise<number> {
    const start = performance.now()
    await this.#poll(() => this.closed, withinMs, 'the end of the connection')
    return performance.now() - start
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }

  async #poll(done: () => boolean, withinMs: number, what: string): Promise<void> {
    const deadline = performance.now() + withinMs
    while (!done()) {
      if (performance.now() > deadline) throw new Error(`waited ${withinMs} ms for ${what}`)
      await wait(POLL_MS)
    }
  }
}

/** Sends the text of one request and answers the text of everything that came until the server closed or was quiet. */
export async function exchange(port: number, text: string): Promise<string> {
  using connection = await RawConnection.open(port)
  connection.write(text)
  await connection.until(/\r\n\r\n/)
  return connection.received
}

/** The status of the first reply in a text. */
export function statusIn(text: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0)
}
