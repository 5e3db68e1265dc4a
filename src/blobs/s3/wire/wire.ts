// The hot requests to S3 over connections of our own. The SDK spends about a millisecond of CPU on every request, four times what
// the request costs otherwise, and node:http a new buffer on every 64 KiB that comes in.
//
// Only a plain success and a plain absence are answers here. Whatever else comes, the caller asks again by the SDK, which knows
// how to wait, to try again and to read what is wrong: every request that is sent here may be sent twice.
import type { ConnectionOptions } from 'node:tls'
import { STALLED_MS } from '#blobs/s3/s3-client.ts'
import { ReplyBody } from '#blobs/s3/wire/reply-body.ts'
import { encodedPath, type Keys, Signer } from '#blobs/s3/wire/signature.ts'
import { DirectConnection, type DirectHead } from '#lib/direct-connection.ts'
import { giveBack, SlabPool } from '#lib/slab.ts'

export interface WireOptions {
  /** Where the root of the bucket is; ends in a slash. */
  readonly base: URL
  readonly region: string
  /** The keys of this moment. */
  readonly keys: () => Promise<Keys>
  readonly verifyTls: boolean
  readonly now: () => number
}

export interface WireRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE'
  readonly key: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** The sha256 of the body in hex, where it is known. */
  readonly payloadHash?: string
}

export interface WireReply extends DirectHead {
  readonly body: ReplyBody
}

const CONNECT_MS_MAX = 5_000
/** Servers close what is idle for some seconds: what is older is not trusted to be open. */
const IDLE_MS_MAX = 4_000
const IDLE_MAX = 64
/** Bodies of replies that say no more than that all is well. */
const SMALL_BODY_BYTES_MAX = 64 * 1024
const EMPTY_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
const UNSIGNED = 'UNSIGNED-PAYLOAD'

interface Idle {
  readonly connection: DirectConnection
  readonly since: number
}

export class Wire {
  readonly #options: WireOptions
  readonly #signer: Signer
  readonly #slabs = new SlabPool()
  readonly #tls: ConnectionOptions
  #idle: Idle[] = []
  #closed = false

  constructor(options: WireOptions) {
    this.#options = options
    this.#signer = new Signer(options.region)
    this.#tls = { rejectUnauthorized: options.verifyTls }
  }

  /** The reply when its body, which says nothing, has come; undefined when the SDK is to be asked. */
  async ask(request: WireRequest): Promise<DirectHead | undefined> {
    const reply = await this.open(request)
    if (!reply) return undefined
    let bytes = 0
    try {
      for await (const chunk of reply.body) {
        bytes += chunk.byteLength
        if (bytes > SMALL_BODY_BYTES_MAX) return undefined
      }
    } catch {
      return undefined
    }
    return reply
  }

  /** The reply with its body on the way; undefined when the SDK is to be asked. The body must be read or destroyed. */
  async open(request: WireRequest): Promise<WireReply | undefined> {
    if (this.#closed) return undefined
    const keys = await this.#options.keys()
    for (let idle = this.#takeIdle(); idle; idle = this.#takeIdle()) {
      const reply = await this.#use(idle, request, keys)
      // Closed by the server while it was idle: another may still be open.
      if (reply || idle.answered) return reply
    }
    return this.#use(this.#connect(), request, keys)
  }

  close(): void {
    this.#closed = true
    for (const { connection } of this.#idle) connection.destroy()
    this.#idle = []
  }

  #connect(): DirectConnection {
    const { base: url } = this.#options
    return new DirectConnection({ url, tls: this.#tls, connectTimeoutMs: CONNECT_MS_MAX, slabs: this.#slabs })
  }

  #use(connection: DirectConnection, request: WireRequest, keys: Keys): Promise<WireReply | undefined> {
    const { method, body } = request
    const { url, headers } = this.#signed(request, keys)
    return new Promise((resolve) => {
      let reply: ReplyBody | undefined
      const timer = setTimeout(() => giveUp(), STALLED_MS)
      const giveUp = () => {
        clearTimeout(timer)
        connection.destroy()
        resolve(undefined)
      }
      connection.request(method, url, headers, {
        head: (head) => {
          clearTimeout(timer)
          if (!isAnswer(request, head)) return giveUp()
          reply = new ReplyBody(
            () => connection.resume(),
            () => connection.destroy(),
          )
          resolve({ ...head, body: reply })
        },
        data: (chunk) => {
          if (reply) return reply.push(chunk)
          giveBack(chunk)
          return false
        },
        ended: () => {
          reply?.end()
          this.#keep(connection)
        },
        unreadable: giveUp,
        failed: (error) => {
          if (reply) reply.destroy(error)
          else giveUp()
        },
      })
      if (body && body.byteLength > 0) void connection.write(body, () => {})
    })
  }

  #signed({ method, key, query = {}, headers = {}, body, payloadHash }: WireRequest, keys: Keys) {
    const { base, now } = this.#options
    const path = `${base.pathname}${encodedPath(key)}`
    const canonicalQuery = Object.entries(query)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
      .join('&')
    const hash = payloadHash ?? (body ? UNSIGNED : EMPTY_HASH)
    const signable = { method, host: base.host, path, query: canonicalQuery, headers, payloadHash: hash }
    const sent = this.#signer.sign(signable, keys, now())
    if (method === 'PUT') sent['content-length'] = String(body?.byteLength ?? 0)
    const target = canonicalQuery === '' ? path : `${path}?${canonicalQuery}`
    return { url: { host: base.host, pathname: target, search: '' }, headers: sent }
  }

  #takeIdle(): DirectConnection | undefined {
    for (let last = this.#idle.pop(); last; last = this.#idle.pop()) {
      if (performance.now() - last.since < IDLE_MS_MAX && last.connection.reusable) return last.connection
      last.connection.destroy()
    }
    return undefined
  }

  #keep(connection: DirectConnection): void {
    if (!connection.reusable || this.#closed) return
    if (this.#idle.length >= IDLE_MAX) this.#idle.shift()?.connection.destroy()
    connection.rest()
    this.#idle.push({ connection, since: performance.now() })
  }
}

/** A plain success; or absence, where that is an answer. */
function isAnswer({ method }: WireRequest, { status }: DirectHead): boolean {
  return (status >= 200 && status < 300) || (status === 404 && method === 'HEAD')
}
