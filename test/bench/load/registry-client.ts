// Pushes content the way clients do, with as little work of its own as HTTP allows.
import { createHash } from 'node:crypto'
import { Pool } from 'undici'
import { OCI_MANIFEST } from '#oci/media-types.ts'

/** Connections to one server; each is used by one request at a time. */
export const CONNECTIONS_MAX = 16
/** A folder sync on a busy disk can hold a reply for long. */
const REPLY_TIMEOUT_MS = 120_000

type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface Request {
  readonly method: Method
  readonly path: string
  readonly body?: Uint8Array
  readonly type?: string
}

export interface Reply {
  readonly status: number
  readonly location: string
}

export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

export class RegistryClient {
  readonly url: string
  readonly #headers: Readonly<Record<string, string>>
  #pool: Pool

  constructor(url: string, connections = CONNECTIONS_MAX, headers: Readonly<Record<string, string>> = {}) {
    this.url = url
    this.#headers = headers
    this.#pool = new Pool(url, {
      connections,
      pipelining: 1,
      headersTimeout: REPLY_TIMEOUT_MS,
      bodyTimeout: REPLY_TIMEOUT_MS,
    })
  }

  /** @throws Error when the status is not one of `expected` */
  async send(request: Request, ...expected: number[]): Promise<Reply> {
    const { statusCode, headers, body } = await this.#pool.request({
      method: request.method,
      path: request.path,
      // undici would close the connection after every HEAD, which no other client does.
      reset: false,
      headers: {
        ...this.#headers,
        ...(request.type ? { 'content-type': request.type } : { accept: OCI_MANIFEST }),
      },
      ...(request.body ? { body: request.body } : {}),
    })
    if (!expected.includes(statusCode)) {
      const said = (await body.text()).slice(0, 500)
      throw new Error(`${request.method} ${this.url}${request.path} answered ${statusCode}: ${said}`)
    }
    await body.dump()
    return { status: statusCode, location: String(headers['location'] ?? '') }
  }

  /** Opens an upload and returns the path and query to send bytes to. */
  async openUpload(repository: string): Promise<string> {
    const { location } = await this.send({ method: 'POST', path: `/v2/${repository}/blobs/uploads/` }, 202)
    return this.pathOf(location)
  }

  /** The path and query of a Location, which may be absolute or not. */
  pathOf(location: string): string {
    const url = new URL(location, this.url)
    return `${url.pathname}${url.search}`
  }

  /** POST, then PUT with the whole blob. Returns the digest. */
  async pushBlob(repository: string, bytes: Uint8Array, digest = sha256(bytes)): Promise<string> {
    const path = await this.openUpload(repository)
    const closing = closingPath(path, digest)
    await this.send({ method: 'PUT', path: closing, body: bytes, type: 'application/octet-stream' }, 201)
    return digest
  }

  async pushManifest(
    repository: string,
    reference: string,
    bytes: Uint8Array,
    type = OCI_MANIFEST,
  ): Promise<void> {
    await this.send(
      { method: 'PUT', path: `/v2/${repository}/manifests/${reference}`, body: bytes, type },
      201,
    )
  }

  async close(): Promise<void> {
    await this.#pool.close()
  }
}

export function closingPath(uploadPath: string, digest: string): string {
  return `${uploadPath}${uploadPath.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`
}

/** Runs `work` for 0..count-1, at most `width` at once. */
export async function inParallel(
  count: number,
  width: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: Math.min(width, count) }, lane))
}
