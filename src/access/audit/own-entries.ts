// Entries of the audit log for changes that no route of the management made: by a push, at a start, from the command line.
import { insertAuditEntry } from '#db/audit.ts'
import type { Transaction } from '#db/db.ts'
import type { Caller } from '#identity/caller.ts'
import { principalName } from '#identity/principal.ts'

export interface OwnChange {
  readonly at: number
  readonly action: string
  readonly target: string
  readonly project?: string | undefined
  /** How it came about. */
  readonly by: string
  /** Whose request it was; undefined for work that no request asked for. */
  readonly caller?: Caller | undefined
}

/** In the transaction of the change. */
export async function recordOwnChange(
  tx: Transaction,
  { at, action, target, project, by, caller }: OwnChange,
): Promise<void> {
  await insertAuditEntry(tx, {
    ...{ at, until: null, count: 1, action, result: 'done', target, project: project ?? null },
    actor: (caller && principalName(caller.principal)) ?? null,
    detail: JSON.stringify({ by }),
    remote: caller?.remote ?? null,
    userAgent: caller?.userAgent ?? null,
    requestId: caller?.requestId ?? null,
  })
}
