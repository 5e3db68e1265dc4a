// A small registry that works, until a test tells it how to misbehave. It keeps everything in memory and remembers what it
// was asked, so that a test can say what a client sent to whom.
import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { type Digest, digestOf, parseDigest } from '#oci/digest.ts'

export interface Asked {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
}

/** Takes a request over by returning true; else the registry answers as it should. */
export type Mischief = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>

export interface StoredManifest {
  readonly mediaType: string
  readonly bytes: Buffer
}

interface OpenUpload {
  bytes: Buffer
}

export class HostileRegistry {
  readonly blobs = new Map<string, Buffer>()
  /** By tag and by digest. */
  readonly manifests = new Map<string, StoredManifest>()
  readonly uploads = new Map<string, OpenUpload>()
  readonly asked: Asked[] = []
  mischief: Mischief = () => false
  /** Sent with every upload. */
  chunkBytesMin = 0
  ranges = true
  #server: Server
  #nextUpload = 1

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(): Promise<HostileRegistry> {
    const server = createServer({ keepAliveTimeout: 1000 })
    const registry = new HostileRegistry(server)
    server.on('request', (request, response) => {
      registry.#handle(request, response).catch(() => response.destroy())
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return registry
  }

  /** `127.0.0.1:<port>` */
  get host(): string {
    const address = this.#server.address()
    return `127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  }

  get url(): string {
    return `http://${this.host}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  putManifest(bytes: Buffer, mediaType: string, tag: string): Digest {
    const digest = digestOf(bytes)
    this.manifests.set(digest, { mediaType, bytes })
    this.manifests.set(tag, { mediaType, bytes })
    return digest
  }

  /** Requests of a method whose path matches. */
  asks(method: string, path: RegExp): Asked[] {
    return this.asked.filter((asked) => asked.method === method && path.test(asked.path))
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '/', headers } = request
    this.asked.push({ method, path: url, headers })
    if (await this.mischief(request, response)) return
    const { pathname, searchParams } = new URL(url, this.url)
    const [, kind, rest] = /^\/v2\/.+?\/(blobs\/uploads|blobs|manifests)\/(.*)$/.exec(pathname) ?? []
    if (pathname === '/v2/') reply(response, 200, {}, '{}')
    else if (kind === 'manifests') await this.#manifest(request, response, rest ?? '')
    else if (kind === 'blobs') this.#blob(request, response, rest ?? '')
    else if (kind === 'blobs/uploads') await this.#upload(request, response, rest ?? '', searchParams)
    else refuse(response, 404, 'NAME_UNKNOWN')
  }

  async #manifest(request: IncomingMessage, response: ServerResponse, reference: string): Promise<void> {
    if (request.method === 'PUT') {
      const bytes = await bodyOf(request)
      const digest = this.putManifest(bytes, request.headers['content-type'] ?? '', reference)
      reply(response, 201, { location: request.url ?? '', 'docker-content-digest': digest })
      return
    }
    const found = this.manifests.get(reference)
    if (!found) return refuse(response, 404, 'MANIFEST_UNKNOWN')
    const { mediaType, bytes } = found
    reply(response, 200, { 'content-type': mediaType, 'docker-content-digest': digestOf(bytes) }, bytes)
  }

  #blob(request: IncomingMessage, response: ServerResponse, digest: string): void {
    const bytes = this.blobs.get(digest)
    if (!bytes) {
      refuse(response, 404, 'BLOB_UNKNOWN')
      return
    }
    const start = this.ranges
      ? Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? Number.NaN)
      : Number.NaN
    if (Number.isNaN(start)) reply(response, 200, {}, bytes)
    else {
      const range = `bytes ${start}-${bytes.byteLength - 1}/${bytes.byteLength}`
      reply(response, 206, { 'content-range': range }, bytes.subarray(start))
    }
  }

  async #upload(
    request: IncomingMessage,
    response: ServerResponse,
    id: string,
    query: URLSearchParams,
  ): Promise<void> {
    if (request.method === 'POST') {
      await bodyOf(request)
      const opened = String(this.#nextUpload++)
      this.uploads.set(opened, { bytes: Buffer.alloc(0) })
      return this.#uploadReply(request, response, opened, 202)
    }
    const upload = this.uploads.get(id)
    if (!upload) return refuse(response, 404, 'BLOB_UPLOAD_UNKNOWN')
    if (request.method === 'GET') return this.#uploadReply(request, response, id, 204)
    if (request.method === 'DELETE') {
      this.uploads.delete(id)
      return reply(response, 204, {})
    }
    const start = Number(
      /^(\d+)-\d+$/.exec(request.headers['content-range'] ?? '')?.[1] ?? upload.bytes.byteLength,
    )
    if (start !== upload.bytes.byteLength) {
      request.resume()
      return this.#uploadReply(request, response, id, 416)
    }
    // What has come before the connection breaks is kept, as a registry on disk has it.
    const chunks = [upload.bytes]
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer)
    } finally {
      upload.bytes = Buffer.concat(chunks)
    }
    if (request.method === 'PATCH') return this.#uploadReply(request, response, id, 202)
    this.uploads.delete(id)
    this.#finish(response, query.get('digest') ?? '', upload.bytes)
  }

  #finish(response: ServerResponse, digest: string, bytes: Buffer): void {
    if (digestOf(bytes) !== parseDigest(digest)) {
      refuse(response, 400, 'DIGEST_INVALID')
      return
    }
    this.blobs.set(digest, bytes)
    reply(response, 201, { location: `/v2/app/blobs/${digest}` })
  }

  #uploadReply(request: IncomingMessage, response: ServerResponse, id: string, status: number): void {
    const name = /^\/v2\/(.+?)\/blobs\/uploads\//.exec(request.url ?? '')?.[1] ?? ''
    const bytes = this.uploads.get(id)?.bytes.byteLength ?? 0
    reply(response, status, {
      location: `/v2/${name}/blobs/uploads/${id}?_state=very-secret-state`,
      range: `0-${Math.max(0, bytes - 1)}`,
      ...(this.chunkBytesMin > 0 ? { 'oci-chunk-min-length': String(this.chunkBytesMin) } : {}),
    })
  }
}

export function reply(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: Uint8Array | string = '',
): void {
  const bytes = Buffer.from(body)
  if (status !== 204) response.setHeader('content-length', bytes.byteLength)
  response.writeHead(status, headers)
  response.end(response.req.method === 'HEAD' ? undefined : bytes)
}

export function refuse(response: ServerResponse, status: number, code: string, message = 'no'): void {
  response.req.resume()
  reply(
    response,
    status,
    { 'content-type': 'application/json' },
    JSON.stringify({ errors: [{ code, message }] }),
  )
}

export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** Sends the first bytes of a body of the announced length, and breaks the connection. */
export function breakAfter(response: ServerResponse, announced: number, bytes: Uint8Array): void {
  response.writeHead(200, { 'content-length': announced })
  response.write(bytes, () => response.destroy())
}
