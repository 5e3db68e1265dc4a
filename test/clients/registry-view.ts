// Looks into a registry with bare HTTP requests: what a client left there, told by something that is not that client.
import { request as requestPlain } from 'node:http'
import { type RequestOptions, request as requestTls } from 'node:https'
import type { Login } from './server.ts'

const BODY_BYTES_MAX = 8 * 1024 * 1024
const REQUEST_MS_MAX = 10_000

const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]

export interface StoredManifest {
  readonly digest: string
  readonly mediaType: string
  readonly body: ManifestBody
}

interface Content {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly artifactType?: string
  readonly platform?: { readonly os: string; readonly architecture: string }
  readonly annotations?: Readonly<Record<string, string>>
}

/** An image manifest or an index, as it lies in the registry. */
export interface ManifestBody {
  readonly mediaType?: string
  readonly artifactType?: string
  readonly config?: Content
  readonly layers?: readonly Content[]
  readonly manifests?: readonly Content[]
  readonly subject?: Content
  readonly annotations?: Readonly<Record<string, string>>
}

interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

export class RegistryView {
  readonly #host: string
  readonly #ca: string | undefined
  readonly #login: Login | undefined

  constructor(host: string, ca: string | undefined, login: Login | undefined) {
    this.#host = host
    this.#ca = ca
    this.#login = login
  }

  async isUp(): Promise<boolean> {
    try {
      return (await this.#get('/v2/')).status === 200
    } catch {
      return false
    }
  }

  /** The manifest that a tag or digest names; undefined when there is none. */
  async manifest(repository: string, reference: string): Promise<StoredManifest | undefined> {
    const reply = await this.#get(`/v2/${repository}/manifests/${reference}`)
    if (reply.status === 404) return undefined
    if (reply.status !== 200) throw new Error(`manifest ${repository}:${reference}: status ${reply.status}`)
    return {
      digest: String(reply.headers['docker-content-digest']),
      mediaType: String(reply.headers['content-type']),
      body: JSON.parse(reply.body),
    }
  }

  /** The digest behind a tag; throws when the tag is not there. */
  async digest(repository: string, reference: string): Promise<string> {
    const found = await this.manifest(repository, reference)
    if (!found) throw new Error(`the registry has no ${repository}:${reference}`)
    return found.digest
  }

  /** All tags of a repository in the registry's order; none for an unknown repository. */
  async tags(repository: string): Promise<string[]> {
    const reply = await this.#get(`/v2/${repository}/tags/list`)
    if (reply.status === 404) return []
    return JSON.parse(reply.body).tags ?? []
  }

  async hasBlob(repository: string, digest: string): Promise<boolean> {
    const { status } = await this.#get(`/v2/${repository}/blobs/${digest}`)
    // Or it is told where the bytes are.
    return status === 200 || status === 307
  }

  /** Descriptors of what refers to `digest`: by the referrers API, or else by the tag that older registries need. */
  async referrers(repository: string, digest: string): Promise<readonly Content[]> {
    const reply = await this.#get(`/v2/${repository}/referrers/${digest}`)
    if (reply.status === 200) return JSON.parse(reply.body).manifests
    const fallback = await this.manifest(repository, digest.replace(':', '-'))
    return fallback?.body.manifests ?? []
  }

  #get(path: string): Promise<Reply> {
    const options: RequestOptions = {
      headers: { accept: MANIFEST_TYPES.join(', ') },
      timeout: REQUEST_MS_MAX,
      agent: false,
      ...(this.#login ? { auth: `${this.#login.username}:${this.#login.password}` } : {}),
      ...(this.#ca === undefined ? {} : { ca: this.#ca }),
    }
    const send = this.#ca === undefined ? requestPlain : requestTls
    const url = `${this.#ca === undefined ? 'http' : 'https'}://${this.#host}${path}`
    return new Promise((resolve, reject) => {
      const request = send(url, options, (response) => {
        const chunks: Buffer[] = []
        let bytes = 0
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes > BODY_BYTES_MAX)
            response.destroy(new Error(`${path}: more than ${BODY_BYTES_MAX} bytes`))
          else chunks.push(chunk)
        })
        response.on('error', reject)
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString('utf8'),
          }),
        )
      })
      request.on('timeout', () =>
        request.destroy(new Error(`${path}: no answer within ${REQUEST_MS_MAX} ms`)),
      )
      request.on('error', reject)
      request.end()
    })
  }
}
