// Everything that can be refused: our reason -> the specification's code, the status, the message, whether a retry helps.
// docs/reference/errors.md lists the same table; a test compares the two.

export interface ErrorRow {
  /** The code of the distribution spec's error table. */
  readonly code: string
  /** The HTTP status that we send. */
  readonly status: number
  /** What is wrong and what to do about it. */
  readonly message: string
  /** True when the same request may succeed later. */
  readonly retryable: boolean
}

function row(code: string, status: number, message: string, retryable = false): ErrorRow {
  return { code, status, message, retryable }
}

export const ERRORS = {
  DIGEST_MALFORMED: row(
    'DIGEST_INVALID',
    400,
    'the digest is malformed: send sha256:<64 hex> or sha512:<128 hex>, lower case',
  ),
  DIGEST_MISMATCH: row(
    'DIGEST_INVALID',
    400,
    'the content does not have the digest that was named: send it again, or correct the digest',
  ),
  DIGEST_MISSING: row(
    'DIGEST_INVALID',
    400,
    'closing an upload needs the query parameter digest=<digest of the whole blob>',
  ),
  ALGORITHM_UNSUPPORTED: row(
    'DIGEST_INVALID',
    400,
    'the digest algorithm is not supported: use sha256 or sha512',
  ),
  SIZE_MISMATCH: row('SIZE_INVALID', 400, 'the length of the body is not the length that was declared'),
  NAME_INVALID: row(
    'NAME_INVALID',
    400,
    'the repository name is invalid: lower-case letters, digits and single separators (. _ __ -), components divided by /, at most 255 characters',
  ),
  TAG_INVALID: row(
    'TAG_INVALID',
    400,
    'the tag is invalid: at most 128 letters, digits, dots, dashes and underscores, not beginning with a dot or dash',
  ),
  MANIFEST_INVALID: row(
    'MANIFEST_INVALID',
    400,
    'the manifest is invalid: see detail for everything that is wrong',
  ),
  MANIFEST_TOO_LARGE: row('MANIFEST_INVALID', 413, 'the manifest is larger than this registry accepts'),
  MANIFEST_BLOB_UNKNOWN: row(
    'MANIFEST_BLOB_UNKNOWN',
    404,
    'the manifest refers to content that this repository does not have: push it first',
  ),
  PAGINATION_INVALID: row(
    'PAGINATION_NUMBER_INVALID',
    400,
    'n must be a whole number within the limit of this registry',
  ),
  REQUEST_INVALID: row('UNSUPPORTED', 400, 'the request is malformed: see detail'),
  BODY_TOO_LARGE: row('SIZE_INVALID', 413, 'the body is larger than this registry accepts'),
  BODY_TOO_SLOW: row(
    'SIZE_INVALID',
    408,
    'the transfer made no progress and was cut: resume it at the offset that the upload reports',
    true,
  ),
  UNAUTHORIZED: row('UNAUTHORIZED', 401, 'authentication is required: log in and try again'),
  CREDENTIALS_INVALID: row('UNAUTHORIZED', 401, 'the user name or password is wrong'),
  TOKEN_INVALID: row('UNAUTHORIZED', 401, 'the token is not valid, or no longer: get another one'),
  SCOPE_INSUFFICIENT: row(
    'UNAUTHORIZED',
    401,
    'the token does not allow this: get one for the scope that the challenge names',
  ),
  DENIED: row('DENIED', 403, 'this identity may not do that here'),
  TAG_IMMUTABLE: row('DENIED', 403, 'the tag is immutable: push under another tag'),
  QUOTA_EXCEEDED: row(
    'DENIED',
    403,
    'the push would exceed a quota: delete what is not needed, or ask for more',
  ),
  NAME_UNKNOWN: row('NAME_UNKNOWN', 404, 'the repository does not exist here'),
  MANIFEST_UNKNOWN: row('MANIFEST_UNKNOWN', 404, 'the manifest does not exist in this repository'),
  BLOB_UNKNOWN: row('BLOB_UNKNOWN', 404, 'the blob does not exist in this repository'),
  BLOB_UPLOAD_UNKNOWN: row(
    'BLOB_UPLOAD_UNKNOWN',
    404,
    'the upload does not exist in this repository: it ended, was cancelled or expired; start a new one',
  ),
  ROUTE_UNKNOWN: row('NAME_UNKNOWN', 404, 'there is no such endpoint: see the distribution specification'),
  METHOD_UNSUPPORTED: row('UNSUPPORTED', 405, 'this method is not supported here'),
  DELETE_DISABLED: row(
    'UNSUPPORTED',
    405,
    'deleting is turned off: set storage.delete.enabled to true to allow it',
  ),
  READ_ONLY: row(
    'UNSUPPORTED',
    405,
    'the registry is read-only: set storage.maintenance.readonly.enabled to false to allow writes',
  ),
  RANGE_INVALID: row(
    'RANGE_INVALID',
    416,
    'the range is not satisfiable: continue where the Range header of this reply ends',
  ),
  UPLOAD_OUT_OF_ORDER: row(
    'RANGE_INVALID',
    416,
    'the chunk does not start where the upload ends: ask for the status of the upload and continue there',
  ),
  UPLOAD_BUSY: row(
    'BLOB_UPLOAD_INVALID',
    409,
    'another request took this upload over: ask for its status and continue there',
    true,
  ),
  TOO_MANY_UPLOADS: row(
    'TOOMANYREQUESTS',
    429,
    'too many uploads are open: finish or cancel some, or try again later',
    true,
  ),
  TOO_MANY_REQUESTS: row('TOOMANYREQUESTS', 429, 'too many requests: try again later', true),
  STORAGE_FULL: row(
    'UNAVAILABLE',
    507,
    'the registry has no space left: free or add space, then push again',
    true,
  ),
  UNAVAILABLE: row('UNAVAILABLE', 503, 'the registry cannot serve this now: try again', true),
  INTERNAL: row(
    'UNKNOWN',
    500,
    'an unexpected error: the log of the registry has it under the request id',
    true,
  ),
} as const satisfies Record<string, ErrorRow>

export type ErrorReason = keyof typeof ERRORS

export interface OciErrorOptions {
  /** Facts for the caller; never a secret, never another tenant's data. */
  readonly detail?: unknown
  readonly cause?: unknown
  /** Replaces the table's message where the fact is worth a sentence of its own. */
  readonly message?: string
  /** Headers that the reply must carry, e.g. WWW-Authenticate, Range, Allow. */
  readonly headers?: Readonly<Record<string, string>>
}

export class OciError extends Error {
  override readonly name = 'OciError'
  readonly reason: ErrorReason
  readonly detail: unknown
  readonly headers: Readonly<Record<string, string>>

  constructor(reason: ErrorReason, options: OciErrorOptions = {}) {
    // A refusal is an answer, not a fault: nobody reads its stack, and capturing one costs more than the rest of a 404.
    const { stackTraceLimit } = Error
    if (ERRORS[reason].status < 500) Error.stackTraceLimit = 0
    super(
      options.message ?? ERRORS[reason].message,
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    Error.stackTraceLimit = stackTraceLimit
    this.reason = reason
    this.detail = options.detail
    this.headers = options.headers ?? {}
  }

  get row(): ErrorRow {
    return ERRORS[this.reason]
  }
}
