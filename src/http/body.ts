// Request bodies: pushed chunk by chunk with back-pressure, or collected up to a limit.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'
import type { TransferWatch } from '#http/transfer-watch.ts'
import type { ByteSource } from '#lib/byte-source.ts'
import { type ErrorReason, OciError } from '#oci/errors.ts'

/** The client went away in the middle of its body: there is nobody to answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'
  constructor() {
    super('the client closed the connection before its body was complete')
  }
}

/** Requests with `Expect: 100-continue` that have not been told to go on: a refusal costs them no body. */
export type AwaitingContinue = WeakSet<IncomingMessage>

/** Counts the bytes of a body while they come. */
export interface Received {
  received: number
}

/** The body of a request. Reading may begin once. */
export function bodySource(
  request: IncomingMessage,
  response: ServerResponse,
  watch: TransferWatch,
  awaiting: AwaitingContinue,
  count: Received,
): ByteSource {
  return (sink, signal) =>
    new Promise((resolve, reject) => {
      const transfer = watch.start('receive', () => fail(new OciError('BODY_TOO_SLOW')))
      let settled = false
      const settle = () => {
        settled = true
        transfer.end()
        signal?.removeEventListener('abort', onAbort)
        request.off('data', onData).off('end', onEnd).off('error', onClose).off('close', onClose)
      }
      const fail = (error: unknown) => {
        if (settled) return
        settle()
        reject(error)
      }
      const onAbort = () => fail(signal?.reason)
      const onData = (chunk: Buffer) => {
        transfer.progress(chunk.length)
        count.received += chunk.length
        try {
          const wait = sink(chunk)
          if (!wait) return
          request.pause()
          transfer.pause()
          wait.then(() => {
            if (settled) return
            transfer.resume()
            request.resume()
          }, fail)
        } catch (error) {
          fail(error)
        }
      }
      const onEnd = () => {
        if (settled) return
        settle()
        if (request.complete) resolve()
        else reject(new ClientGone())
      }
      const onClose = () => fail(new ClientGone())
      if (signal?.aborted) return fail(signal.reason)
      if (request.destroyed && !request.complete) return fail(new ClientGone())
      signal?.addEventListener('abort', onAbort)
      request.on('data', onData).on('end', onEnd).on('error', onClose).on('close', onClose)
      if (awaiting.delete(request)) response.writeContinue()
      request.resume()
    })
}

/** The whole body when it is at most maxBytes. @throws OciError with the given reason when it is larger */
export async function collectBody(
  source: ByteSource,
  maxBytes: number,
  tooLarge: ErrorReason,
): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  await source((chunk) => {
    size += chunk.length
    if (size > maxBytes) throw new OciError(tooLarge, { detail: { limitBytes: maxBytes } })
    chunks.push(chunk)
    return undefined
  })
  const [only] = chunks
  return chunks.length === 1 && only
    ? Buffer.from(only.buffer, only.byteOffset, only.byteLength)
    : Buffer.concat(chunks, size)
}

/** The announced length; undefined for a chunked body. @throws OciError REQUEST_INVALID */
export function contentLength(request: IncomingMessage): number | undefined {
  const text = request.headers['content-length']
  if (text === undefined)
    return request.headers['transfer-encoding'] === undefined && request.httpVersionMajor < 2 ? 0 : undefined
  const length = Number(text)
  if (!Number.isSafeInteger(length) || length < 0) {
    throw new OciError('REQUEST_INVALID', { detail: { contentLength: text.slice(0, 100) } })
  }
  return length
}

/** Bytes of a refused body that are read and dropped, so that the client can read the reply instead of a reset. */
const DRAINED_BYTES_MAX = 16 * 1024 * 1024
const DRAIN_MS_MAX = 5_000

/** After a reply that came before the end of the body: reads on within bounds, then closes the connection. */
export function drainBody(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return
  let drained = 0
  const timer = setTimeout(() => cutRequest(request), DRAIN_MS_MAX).unref()
  request.on('data', (chunk: Buffer) => {
    drained += chunk.length
    if (drained > DRAINED_BYTES_MAX) cutRequest(request)
  })
  request.on('close', () => clearTimeout(timer))
  request.on('error', () => {})
  request.resume()
}

/** Destroying a request of HTTP/2 leaves its stream open; RFC 9113, 8.1 has the stream reset, without an error. */
export function cutRequest(request: IncomingMessage): void {
  const { stream } = request as IncomingMessage & { readonly stream?: ServerHttp2Stream }
  if (stream) stream.close()
  else request.destroy()
}
