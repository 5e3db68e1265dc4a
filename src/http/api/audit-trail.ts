// What the audit log tells of the requests of the API: changes with the transaction that makes them, and what was refused.
import type { FastifyRequest } from 'fastify'
import type { AuditLog } from '#access/audit/audit-log.ts'
import { AuditedDb } from '#access/audit/audited-db.ts'
import type { Noted } from '#access/audit/noted-entries.ts'
import type { Management } from '#access/management/management.ts'
import type { Answer, ApiRoute } from '#http/api/route-table.ts'
import type { Caller } from '#identity/caller.ts'
import { principalName } from '#identity/principal.ts'
import { isRepositoryName } from '#oci/reference.ts'

const PAST: Readonly<Record<ApiRoute['method'], string>> = {
  GET: 'read',
  POST: 'created',
  PUT: 'set',
  PATCH: 'changed',
  DELETE: 'deleted',
}
/** Of a target or the value of a member: the rest is cut off. */
const TEXT_CHARS_MAX = 300

/** `projects.members.set`: the fixed parts of the path, and what is done there. */
export function actionOf({ path, method }: Pick<ApiRoute, 'path' | 'method'>): string {
  const parts = path.split('/').filter((part) => part !== '' && !part.startsWith(':'))
  return [...parts, PAST[method]].join('.')
}

/** Runs a change so that the log has it when it is made, and not otherwise. */
export async function auditChange(
  audit: AuditLog,
  management: Management,
  entry: Omit<Noted, 'result'>,
  change: (audited: Management) => Promise<Answer>,
): Promise<Answer> {
  const db = new AuditedDb(management.db, (tx) => audit.record(tx, entry))
  const answer = await change({ ...management, db })
  // What changed nothing was asked for all the same.
  if (!db.isRecorded) await management.db.transaction((tx) => audit.record(tx, entry))
  return answer
}

/** @param body as its schema took it; undefined where nothing was taken */
export function entryOf(
  audit: AuditLog,
  row: ApiRoute,
  request: FastifyRequest,
  caller: Caller,
  body?: unknown,
): Omit<Noted, 'result'> {
  const { project, ...others } = request.params as Record<string, string>
  const members = isObject(body) ? body : {}
  const made = row.method === 'POST' && typeof members['name'] === 'string' ? [members['name']] : []
  const target = [...Object.values(others), ...made].join('/') || project
  const repository = others['repository'] ?? ''
  return {
    action: actionOf(row),
    actor: principalName(caller.principal) ?? null,
    target: target?.slice(0, TEXT_CHARS_MAX) ?? null,
    project:
      (isRepositoryName(repository) ? audit.projectOf(repository) : project?.slice(0, TEXT_CHARS_MAX)) ??
      null,
    detail: textOf({ ...keyOf(caller), ...whatOf(row, members) }),
    remote: caller.remote ?? null,
    userAgent: caller.userAgent ?? null,
    requestId: caller.requestId,
  }
}

/** Who may not, and changes that did not come about. A wrong password is told where it is checked. */
export function noteRefusal(
  audit: AuditLog,
  row: ApiRoute,
  request: FastifyRequest,
  caller: Caller,
  status: number,
): void {
  const isRefused = status === 403
  if (status === 401 || status === 429 || (!isRefused && row.method === 'GET')) return
  const detail = textOf({ ...keyOf(caller), status })
  audit.note({ ...entryOf(audit, row, request, caller), detail, result: isRefused ? 'refused' : 'failed' })
}

/** The API key that spoke for a user. */
function keyOf({ principal }: Caller): object {
  return principal.kind === 'user' && principal.key !== undefined ? { key: principal.key } : {}
}

/** The names of the members that were sent, and the values of those that the row shows: so no secret comes in. */
function whatOf(row: ApiRoute, members: Readonly<Record<string, unknown>>): object {
  const names = Object.keys(members)
  const shown = row.isContent ? [] : (row.shownInAudit ?? [])
  const values = names.filter((name) => shown.includes(name)).map((name) => [name, brief(members[name])])
  return {
    ...(names.length > 0 && { members: names }),
    ...(values.length > 0 && { values: Object.fromEntries(values) }),
  }
}

function textOf(detail: object): string | null {
  return Object.keys(detail).length > 0 ? JSON.stringify(detail) : null
}

function brief(value: unknown): unknown {
  const text = JSON.stringify(value) ?? ''
  return text.length <= TEXT_CHARS_MAX ? value : `${text.slice(0, TEXT_CHARS_MAX)}...`
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
