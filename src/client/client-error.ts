// What the client throws: which request to which host failed, what the registry said, and what to do about it.
import type { Digest } from '#oci/digest.ts'

/**
 * Friendly to exit codes: one word for what a person or a script would do next.
 *
 * - `unauthorized` log in; `denied` ask for rights; `not-found` check the name
 * - `rate-limited`, `unreachable`, `timeout`, `server` try again later
 * - `tls` the certificate is not trusted; `unsafe` the client refused to do what the registry asked for
 * - `corrupt` the content is not what its descriptor says; `limit` something is larger than the client accepts
 * - `refused` the registry does not accept the request; `invalid` what the caller or a file says makes no sense
 */
export type ClientErrorKind =
  | 'unauthorized'
  | 'denied'
  | 'not-found'
  | 'rate-limited'
  | 'unreachable'
  | 'timeout'
  | 'server'
  | 'tls'
  | 'unsafe'
  | 'corrupt'
  | 'limit'
  | 'refused'
  | 'invalid'

const HINTS: Record<ClientErrorKind, string> = {
  unauthorized: 'log in to this registry, or check the user name and password',
  denied: 'ask for the right to do this in that repository',
  'not-found': 'check the name, the tag or the digest',
  'rate-limited': 'wait, or log in for a higher limit',
  unreachable: 'check the host name, the port, the network and the proxy',
  timeout: 'check the network, and try again',
  server: 'try again later; the log of the registry says more',
  tls: 'give the certificate authority of the registry, or correct its certificate',
  unsafe: 'the configuration must allow it by name',
  corrupt: 'the source is damaged or was changed: verify it, and push it again',
  limit: 'the content is larger than this client accepts',
  refused: 'the registry does not accept this request',
  invalid: 'correct the input',
}

export interface RequestName {
  readonly method: string
  readonly url: URL
}

export interface ClientErrorOptions {
  readonly request?: RequestName | undefined
  /** The HTTP status of the reply, when there was one. */
  readonly status?: number | undefined
  /** The registry's own code, e.g. MANIFEST_UNKNOWN. */
  readonly code?: string | undefined
  readonly digest?: Digest | undefined
  /** What to do about it; each kind has a sentence of its own. */
  readonly hint?: string | undefined
  /** True when the same request may succeed later; the kind decides when this is absent. */
  readonly retryable?: boolean | undefined
  /** Milliseconds to wait, from Retry-After. */
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

const RETRYABLE: ReadonlySet<ClientErrorKind> = new Set(['rate-limited', 'unreachable', 'timeout', 'server'])

export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly kind: ClientErrorKind
  /** `GET https://host/v2/…`, without any secret. */
  readonly request: string | undefined
  readonly status: number | undefined
  readonly code: string | undefined
  readonly digest: Digest | undefined
  readonly hint: string
  readonly retryable: boolean
  readonly retryAfterMs: number | undefined

  constructor(kind: ClientErrorKind, what: string, options: ClientErrorOptions = {}) {
    const request = options.request && `${options.request.method} ${safeUrl(options.request.url)}`
    super(request ? `${request}: ${what}` : what, options.cause === undefined ? {} : { cause: options.cause })
    this.kind = kind
    this.request = request
    this.status = options.status
    this.code = options.code
    this.digest = options.digest
    this.hint = options.hint ?? HINTS[kind]
    this.retryable = options.retryable ?? RETRYABLE.has(kind)
    this.retryAfterMs = options.retryAfterMs
  }
}

/** Query parameters that say what was asked and can hold no secret. Signed URLs and upload states are full of others. */
const OPEN_PARAMETERS: ReadonlySet<string> = new Set([
  'artifactType',
  'digest',
  'digest-algorithm',
  'from',
  'last',
  'mount',
  'n',
  'ns',
  'scope',
  'service',
  'tag',
])

/** A URL for people: no user, no password, and only the query parameters that are known to be harmless. */
export function safeUrl(url: URL): string {
  const shown: string[] = []
  let hidden = false
  for (const [name, value] of url.searchParams) {
    if (OPEN_PARAMETERS.has(name)) shown.push(`${name}=${value}`)
    else hidden = true
  }
  if (hidden) shown.push('…')
  return `${url.protocol}//${url.host}${url.pathname}${shown.length > 0 ? `?${shown.join('&')}` : ''}`
}

export function isClientError(error: unknown, ...kinds: readonly ClientErrorKind[]): error is ClientError {
  return error instanceof ClientError && (kinds.length === 0 || kinds.includes(error.kind))
}
