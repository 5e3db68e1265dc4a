// A slow line to a server on loopback: what a client sends goes through at a set rate, each connection by itself; what it is
// sent comes at once.
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { Transform, type TransformCallback } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'

/** Twenty times a second: no client takes that for a line that is dead. */
const PIECE_MS = 50
/** What a handshake and a request's head need: they are not made to wait. */
const FREE_BYTES = 16 * 1024

export interface SlowLine {
  readonly port: number
  close(): Promise<void>
}

/** @param bytesPerSecond of each connection, towards the server */
export async function openSlowLine(serverPort: number, bytesPerSecond: number): Promise<SlowLine> {
  const open = new Set<Socket>()
  const line: Server = createServer((client) => {
    const server = connect(serverPort, '127.0.0.1')
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      open.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        open.delete(one)
        other.destroy()
      })
    }
    client.pipe(slowed(bytesPerSecond)).pipe(server)
    server.pipe(client)
  })
  line.listen(0, '127.0.0.1')
  await once(line, 'listening')
  const address = line.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    async close() {
      const closed = once(line, 'close')
      line.close()
      for (const socket of open) socket.destroy()
      await closed
    },
  }
}

function slowed(bytesPerSecond: number): Transform {
  const pieceBytes = Math.max(1, Math.round((bytesPerSecond * PIECE_MS) / 1_000))
  let free = FREE_BYTES
  const pass = async (stream: Transform, chunk: Buffer) => {
    const atOnce = Math.min(free, chunk.length)
    free -= atOnce
    if (atOnce > 0) stream.push(chunk.subarray(0, atOnce))
    for (let at = atOnce; at < chunk.length; at += pieceBytes) {
      await wait(PIECE_MS)
      stream.push(chunk.subarray(at, at + pieceBytes))
    }
  }
  return new Transform({
    highWaterMark: pieceBytes,
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      pass(this, chunk).then(() => done(), done)
    },
  })
}
