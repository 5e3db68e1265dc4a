// Signs a request with AWS Signature Version 4: all headers of it that S3 asks for.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
import { createHash, createHmac } from 'node:crypto'

export interface Keys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

export interface Signable {
  readonly method: string
  /** `host` or `host:port`, as it is sent. */
  readonly host: string
  /** Encoded as it is sent. */
  readonly path: string
  /** Names and values encoded, in the order of the names. */
  readonly query: string
  /** Names in lower case. Those that begin with `x-amz-`, and `content-md5`, are signed. */
  readonly headers: Readonly<Record<string, string>>
  /** The sha256 of the body in hex, or UNSIGNED-PAYLOAD. */
  readonly payloadHash: string
}

const ALGORITHM = 'AWS4-HMAC-SHA256'
const SERVICE = 's3'

export class Signer {
  readonly #region: string
  /** The derived key is good for one day and one secret. */
  #derived: { readonly day: string; readonly secret: string; readonly key: Buffer } | undefined

  constructor(region: string) {
    this.#region = region
  }

  /** The headers to send: those that were given, and what signs them. `now`: milliseconds since 1970. */
  sign(
    { method, host, path, query, headers, payloadHash }: Signable,
    keys: Keys,
    now: number,
  ): Record<string, string> {
    const time = new Date(now).toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
    const day = time.slice(0, 8)
    const sent: Record<string, string> = {
      ...headers,
      'x-amz-date': time,
      'x-amz-content-sha256': payloadHash,
      ...(keys.sessionToken === undefined ? {} : { 'x-amz-security-token': keys.sessionToken }),
    }
    const signed = Object.keys(sent).filter((name) => name.startsWith('x-amz-') || name === 'content-md5')
    const names = ['host', ...signed].sort()
    const lines = names.map((name) => `${name}:${name === 'host' ? host : sent[name]?.trim()}`)
    const signedHeaders = names.join(';')
    const canonical = [method, path, query, ...lines, '', signedHeaders, payloadHash].join('\n')
    const scope = `${day}/${this.#region}/${SERVICE}/aws4_request`
    const toSign = [ALGORITHM, time, scope, sha256(canonical)].join('\n')
    const signature = hmac(this.#keyOf(day, keys.secretAccessKey), toSign).toString('hex')
    const credential = `Credential=${keys.accessKeyId}/${scope}`
    sent['authorization'] =
      `${ALGORITHM} ${credential}, SignedHeaders=${signedHeaders}, Signature=${signature}`
    return sent
  }

  #keyOf(day: string, secret: string): Buffer {
    if (this.#derived?.day === day && this.#derived.secret === secret) return this.#derived.key
    const key = [day, this.#region, SERVICE, 'aws4_request'].reduce<string | Buffer>(
      hmac,
      `AWS4${secret}`,
    ) as Buffer
    this.#derived = { day, secret, key }
    return key
  }
}

/** A key as it stands in an address: every part encoded as RFC 3986 has it. */
export function encodedPath(key: string): string {
  return key
    .split('/')
    .map((part) =>
      encodeURIComponent(part).replaceAll(
        /[!'()*]/g,
        (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
      ),
    )
    .join('/')
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
