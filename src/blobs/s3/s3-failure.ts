// What a bucket said, in our words: absence is a value, and what is wrong with S3 is never the client's fault.
import { OciError } from '#oci/errors.ts'

/** Codes of S3 servers that have no space left, or give this account no more. */
const FULL = new Set(['QuotaExceeded', 'InsufficientCapacity', 'XMinioStorageFull', 'StorageFull'])

interface ServiceError {
  readonly name: string
  readonly $metadata?: { readonly httpStatusCode?: number }
}

function serviceError(error: unknown): ServiceError | undefined {
  return error instanceof Error ? (error as Error & ServiceError) : undefined
}

export function statusOf(error: unknown): number | undefined {
  return serviceError(error)?.$metadata?.httpStatusCode
}

/** There is no such object, or no such multipart upload. */
export function isAbsent(error: unknown): boolean {
  return statusOf(error) === 404 && serviceError(error)?.name !== 'NoSuchBucket'
}

/** The object is no longer the one that was meant: If-Match did not hold. */
export function isChanged(error: unknown): boolean {
  return statusOf(error) === 412
}

/** The server does not know this request, or a header of it. */
export function isUnsupported(error: unknown): boolean {
  const name = serviceError(error)?.name
  return (
    statusOf(error) === 501 || ['NotImplemented', 'InvalidArgument', 'MissingContentMD5'].includes(name ?? '')
  )
}

/**
 * What goes up: S3 that cannot be reached, that refuses us or that is full is for the operator to mend and for the client
 * to wait for. Our own errors, aborts and conditions that did not hold pass through.
 */
export function s3Failure(error: unknown, what: string): unknown {
  if (error instanceof OciError || isChanged(error)) return error
  if (error instanceof Error && error.name === 'AbortError') return error
  const { name = '' } = serviceError(error) ?? {}
  if (statusOf(error) === 507 || FULL.has(name)) return new OciError('STORAGE_FULL', { cause: error })
  return new OciError('UNAVAILABLE', {
    message: 'the object store behind this registry cannot be used now: try again',
    cause: new Error(`S3 failed at ${what}: ${told(error)}`, { cause: error }),
    headers: { 'Retry-After': '5' },
  })
}

function told(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error && typeof error.code === 'string' ? ` ${error.code}` : ''
  return `${error.name}${code} ${error.message}`.slice(0, 500)
}
