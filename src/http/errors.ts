// The one renderer of refusals: the specification's envelope, the status of the table, and nothing that only we should see.
import type { WholeReply } from '#http/send.ts'
import { OciError } from '#oci/errors.ts'

/** Errors of the operating system that mean "no space": the disk, or a quota on it. */
const FULL = new Set(['ENOSPC', 'EDQUOT'])

/** Whatever was thrown, as an OciError; the original stays its cause. */
export function asOciError(thrown: unknown): OciError {
  if (thrown instanceof OciError) return thrown
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
  if (typeof code === 'string' && FULL.has(code)) return new OciError('STORAGE_FULL', { cause: thrown })
  return new OciError('INTERNAL', { cause: thrown })
}

export function errorReply(error: OciError): WholeReply {
  const { code, status, retryable } = error.row
  const entry = { code, message: error.message, ...(error.detail !== undefined && { detail: error.detail }) }
  const body = JSON.stringify({ errors: [entry] })
  return {
    status,
    headers: {
      'Content-Type': 'application/json',
      ...(retryable && status >= 500 && { 'Retry-After': '5' }),
      ...error.headers,
    },
    body,
  }
}
