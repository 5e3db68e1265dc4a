// An unwelcome reply as an error: the registry's own code and message, bounded, printable and without our secrets.
import { ClientError, type ClientErrorKind, type RequestName } from '#client/client-error.ts'
import type { WireReply } from '#client/exchange.ts'

/** Bytes of an error body that are read. */
export const ERROR_BODY_BYTES_MAX = 64 * 1024
const MESSAGE_LENGTH_MAX = 500

export interface ReplyErrorOptions {
  /** Whatever was sent and must not come back in a message: a hostile registry may echo it. */
  readonly secrets: readonly string[]
  readonly retryAfterMs?: number | undefined
}

export function errorFromReply(
  request: RequestName,
  reply: WireReply,
  body: Uint8Array,
  options: ReplyErrorOptions,
): ClientError {
  const { code, message } = readEnvelope(body)
  const shownCode = code && cleaned(code, options.secrets).slice(0, 80)
  const shownMessage = message && cleaned(message, options.secrets)
  const said = [shownCode, shownMessage].filter(Boolean).join(': ')
  const by = reply.url.host === request.url.host ? '' : ` by ${reply.url.host}`
  return new ClientError(
    kindOf(reply.status, code),
    `refused with ${reply.status}${by}${said ? ` ${said}` : ''}`,
    {
      request,
      status: reply.status,
      code: shownCode,
      retryAfterMs: options.retryAfterMs,
      retryable: isRetryable(reply.status),
    },
  )
}

function kindOf(status: number, code: string | undefined): ClientErrorKind {
  if (status === 401) return 'unauthorized'
  // Docker Hub and others say 403 or 404 for what needs a login; the code tells more than the status.
  if (status === 403) return code === 'UNAUTHORIZED' ? 'unauthorized' : 'denied'
  if (status === 404 || status === 410) return 'not-found'
  if (status === 408) return 'timeout'
  if (status === 413) return 'limit'
  if (status === 429) return 'rate-limited'
  return status >= 500 ? 'server' : 'refused'
}

/** 501 and 505 to 511 but 507 are about the request, not about the moment. 507 may be freed, but not by waiting for it. */
function isRetryable(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status <= 504 && status !== 501)
}

/** The first entry of the spec's error envelope, or the `details` and `message` that other services write. */
function readEnvelope(body: Uint8Array): { code?: string | undefined; message?: string | undefined } {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    return {}
  }
  if (typeof value !== 'object' || value === null) return {}
  const errors = (value as { errors?: unknown }).errors
  const first: unknown = Array.isArray(errors) ? errors[0] : value
  if (typeof first !== 'object' || first === null) return {}
  const { code, message, error, details, error_description: description } = first as Record<string, unknown>
  return { code: text(code) ?? text(error), message: text(message) ?? text(description) ?? text(details) }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function cleaned(message: string, secrets: readonly string[]): string {
  let shown = message
  for (const secret of secrets) if (secret.length >= 4) shown = shown.replaceAll(secret, '***')
  // A terminal obeys control characters; a log breaks at line ends.
  return shown.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').slice(0, MESSAGE_LENGTH_MAX)
}
