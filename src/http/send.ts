// Replies: what a handler says, and how it goes out. Bytes of a blob are lent by the store, so each write is awaited.
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { BlobReader } from '#blobs/store.ts'
import type { Transfer, TransferWatch } from '#http/transfer-watch.ts'

export interface Reply {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  /** Absent for an empty body; Content-Length is set from it where the handler did not. */
  readonly body?: Buffer | string | ReplyStream | undefined
}

/** A reply whose body is at hand, or has none. */
export interface WholeReply extends Reply {
  readonly body?: WholeBody
}

type WholeBody = Buffer | string | undefined

/** A body that is written piece by piece; its Content-Length is in the headers. */
export interface ReplyStream {
  write(out: ReplyWriter): Promise<void>
  /** Runs in any case, also when nothing was written. */
  close(): Promise<void>
}

export interface ReplyWriter {
  /** Resolves when the operating system has taken the bytes. Rejects when the client is gone. */
  send(chunk: Uint8Array | string): Promise<void>
}

/** The client closed the connection before it had the whole reply. */
export class ReaderGone extends Error {
  override readonly name = 'ReaderGone'
  constructor() {
    super('the client closed the connection before the reply was complete')
  }
}

/**
 * Bodies up to this are handed over as text of one byte a character: Node joins that with the headers into one write,
 * where a Buffer costs a gathering write of two.
 */
const JOINED_BYTES_MAX = 16 * 1024

/** Counts the bytes of a body while they go out, also of one that breaks off. */
export interface Sent {
  sent: number
}

/** Sends a reply. */
export async function sendReply(
  response: ServerResponse,
  reply: Reply,
  watch: TransferWatch,
  head: boolean,
  count: Sent,
): Promise<void> {
  const { status, headers, body } = reply
  if (isWhole(body)) {
    count.sent += sendWhole(response, { status, headers, body }, head)
    return
  }
  try {
    response.writeHead(status, headers)
    if (head) response.end()
    else await stream(response, body, watch, count)
  } finally {
    await body.close()
  }
}

function isWhole(body: Reply['body']): body is WholeBody {
  return body === undefined || typeof body === 'string' || Buffer.isBuffer(body)
}

/** The bytes of the body that went out. */
export function sendWhole(
  response: ServerResponse,
  { status, headers, body }: WholeReply,
  head: boolean,
): number {
  const length = body === undefined ? 0 : Buffer.byteLength(body)
  if (headers['Content-Length'] === undefined && status !== 204 && status !== 304)
    headers['Content-Length'] = length
  response.writeHead(status, headers)
  if (head || body === undefined) response.end()
  else if (typeof body === 'string' || length > JOINED_BYTES_MAX) response.end(body)
  else response.end(body.toString('latin1'), 'latin1')
  return head ? 0 : length
}

async function stream(
  response: ServerResponse,
  body: ReplyStream,
  watch: TransferWatch,
  count: Sent,
): Promise<void> {
  const transfer = watch.start('send', () => response.destroy())
  const writer = new ResponseWriter(response, transfer, count)
  try {
    await body.write(writer)
    response.end()
  } catch (error) {
    // The status is out: only a broken connection can say that the body is not complete.
    response.destroy()
    throw error
  } finally {
    transfer.end()
    writer.stop()
  }
}

class ResponseWriter implements ReplyWriter {
  readonly #count: Sent
  readonly #response: ServerResponse
  readonly #transfer: Transfer
  #reject: ((error: Error) => void) | undefined
  readonly #onClose = () => this.#reject?.(new ReaderGone())

  constructor(response: ServerResponse, transfer: Transfer, count: Sent) {
    this.#count = count
    this.#response = response
    this.#transfer = transfer
    response.on('close', this.#onClose)
    response.on('error', this.#onClose)
  }

  send(chunk: Uint8Array | string): Promise<void> {
    if (this.#response.destroyed) return Promise.reject(new ReaderGone())
    return new Promise((resolve, reject) => {
      this.#reject = reject
      this.#response.write(chunk, (error) => {
        this.#reject = undefined
        if (error) return reject(new ReaderGone())
        this.#count.sent += chunk.length
        this.#transfer.progress(chunk.length)
        resolve()
      })
    })
  }

  stop(): void {
    this.#response.off('close', this.#onClose)
  }
}

/** The bytes from start to end of an open blob; closes it. */
export function readerStream(reader: BlobReader, start: number, end: number): ReplyStream {
  return {
    async write(out) {
      for await (const chunk of reader.chunks(start, end)) await out.send(chunk)
    },
    close: () => reader.close(),
  }
}
