// Attempts to log in as entries of the audit log.
import type { Noted } from '#access/audit/noted-entries.ts'
import type { Login } from '#access/database-directory.ts'

export function entryOfLogin({ account, remote, fault, key }: Login): Noted {
  const detail = { ...(fault !== null && { fault }), ...(key !== undefined && { key }) }
  return {
    action: 'login',
    result: fault === null ? 'done' : 'refused',
    actor: account,
    target: null,
    project: null,
    detail: Object.keys(detail).length > 0 ? JSON.stringify(detail) : null,
    remote,
    userAgent: null,
    requestId: null,
  }
}
