// Asks a token service for a token: GET with Basic, or the OAuth2 form by POST.
// Source: distribution, "Token authentication" and "OAuth2 token authentication".
import { ClientError } from '#client/client-error.ts'
import type { Credentials } from '#client/credentials.ts'
import { EnoughRead, type WireReply } from '#client/exchange.ts'
import { errorFromReply } from '#client/reply-error.ts'
import { parseRetryAfter, type Waiting } from '#client/retry.ts'
import type { Transport } from '#client/transport.ts'

export interface TokenRequest {
  readonly realm: URL
  readonly service: string | undefined
  readonly scopes: readonly string[]
  /** Absent: an anonymous token. */
  readonly credentials: Credentials | undefined
}

export interface Token {
  readonly value: string
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}

/** The spec of the token protocol: 60 seconds when the service does not say. */
const LIFETIME_DEFAULT_S = 60
const LIFETIME_MAX_S = 24 * 3600
const TOKEN_REPLY_BYTES_MAX = 256 * 1024
const CLIENT_ID = 'stowage'

/** @throws ClientError */
export async function requestToken(
  transport: Transport,
  request: TokenRequest,
  waiting: Waiting,
): Promise<Token> {
  const { credentials } = request
  if (credentials?.kind === 'identity-token') {
    return readToken(await send(postForm({ grant_type: 'refresh_token', refresh_token: credentials.token })))
  }
  const get = await send(getForm())
  // Some services know the OAuth2 form alone.
  const formUnknown = get.reply.status === 404 || get.reply.status === 405
  if (formUnknown && credentials?.kind === 'password') {
    const { username, password } = credentials
    return readToken(await send(postForm({ grant_type: 'password', username, password })))
  }
  return readToken(get)

  function getForm(): Wire {
    const url = new URL(request.realm)
    if (request.service !== undefined) url.searchParams.set('service', request.service)
    for (const scope of request.scopes) url.searchParams.append('scope', scope)
    const headers: Record<string, string> = {}
    if (credentials?.kind === 'password') {
      url.searchParams.set('account', credentials.username)
      headers['authorization'] = basicHeader(credentials.username, credentials.password)
    }
    url.searchParams.set('client_id', CLIENT_ID)
    return { method: 'GET', url, headers }
  }

  function postForm(fields: Record<string, string>): Wire {
    const form = new URLSearchParams({ ...fields, client_id: CLIENT_ID })
    if (request.service !== undefined) form.set('service', request.service)
    if (request.scopes.length > 0) form.set('scope', request.scopes.join(' '))
    return {
      method: 'POST',
      url: request.realm,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(form.toString()),
    }
  }

  async function send(wire: Wire): Promise<Answer> {
    const chunks: Uint8Array[] = []
    let bytes = 0
    const reply = await transport.send(wire, () => (chunk) => {
      bytes += chunk.byteLength
      if (bytes > TOKEN_REPLY_BYTES_MAX) throw new EnoughRead()
      chunks.push(chunk)
      return undefined
    })
    return { wire, reply, body: Buffer.concat(chunks) }
  }

  function readToken({ wire, reply, body }: Answer): Token {
    if (reply.status !== 200) {
      throw errorFromReply(wire, reply, body, {
        secrets: secretsOf(credentials),
        retryAfterMs: parseRetryAfter(String(reply.headers['retry-after'] ?? ''), waiting.now()),
      })
    }
    const fields = parseObject(body)
    const value = [fields?.['token'], fields?.['access_token']].find(
      (candidate) => typeof candidate === 'string' && /^[\x21-\x7e]+$/.test(candidate),
    )
    if (typeof value !== 'string') {
      throw new ClientError('refused', 'the token service answered without a token', { request: wire })
    }
    const lifetime = fields?.['expires_in']
    const seconds = typeof lifetime === 'number' && lifetime > 0 ? lifetime : LIFETIME_DEFAULT_S
    // Counted from now on our own clock: issued_at is of a clock that may differ.
    return { value, expiresAt: waiting.now() + Math.min(seconds, LIFETIME_MAX_S) * 1000 }
  }
}

interface Wire {
  readonly method: string
  readonly url: URL
  readonly headers: Record<string, string>
  readonly body?: Buffer
}

interface Answer {
  readonly wire: Wire
  readonly reply: WireReply
  readonly body: Buffer
}

export function basicHeader(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

export function secretsOf(credentials: Credentials | undefined): string[] {
  if (credentials === undefined) return []
  if (credentials.kind !== 'password') return [credentials.token]
  return [credentials.password, basicHeader(credentials.username, credentials.password).slice(6)]
}

function parseObject(body: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
