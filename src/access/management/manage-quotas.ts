// Limits of projects, users and the registry, and what is used of them.
import { existingProject } from '#access/management/manage-projects.ts'
import { type Listed, listed, type Management, type Paging, unknown } from '#access/management/management.ts'
import { Refusal } from '#access/management/refusal.ts'
import type { ScopeKind } from '#access/quotas/limits.ts'
import type { Executor } from '#db/db.ts'
import { deleteQuota, findQuota, type Limits, type QuotaRecord, quotaPage, setQuota } from '#db/quotas.ts'
import { projectScope, REGISTRY_SCOPE, type Usage, usageOf, userScope } from '#db/usage.ts'
import { findUser, findUserById } from '#db/users.ts'

export type QuotaTarget =
  | { readonly kind: 'registry' }
  | { readonly kind: Exclude<ScopeKind, 'registry'>; readonly name: string }

export interface QuotaView {
  readonly kind: ScopeKind
  /** Of the project or user; null for the registry. */
  readonly name: string | null
  /** Null: no limit. */
  readonly limits: Limits
  /** Whether nobody set others than the configuration has. */
  readonly isDefault: boolean
  readonly used: Usage
}

export async function getQuota({ db, quotas }: Management, target: QuotaTarget): Promise<QuotaView> {
  const scope = await scopeOf(db, target)
  const found = await findQuota(db, scope)
  const limits = found?.limits ?? quotas.defaults[target.kind]
  const name = target.kind === 'registry' ? null : target.name
  const { used } = await usageOf(db, scope)
  return { kind: target.kind, name, limits, isDefault: found === undefined, used }
}

/** Those that were set. */
export async function listQuotas(
  management: Management,
  { after, limit }: Paging,
): Promise<Listed<QuotaView>> {
  const rows = await quotaPage(management.db, after, limit + 1)
  const { items, next } = listed(rows, limit, ({ scope }) => scope)
  const views: QuotaView[] = []
  for (const row of items) {
    const target = await targetOf(management.db, row)
    if (target) views.push(await getQuota(management, target))
  }
  return { items: views, next }
}

/** All three limits at once: null takes one away. */
export async function changeQuota(
  management: Management,
  target: QuotaTarget,
  limits: Limits,
): Promise<QuotaView> {
  if (target.kind === 'user' && (limits.repositories !== null || limits.tags !== null))
    throw new Refusal(
      'invalid',
      'users have a limit of bytes alone: repositories and tags belong to projects',
    )
  const { db, now } = management
  await db.transaction(async (tx) => setQuota(tx, await scopeOf(tx, target), limits, now()))
  return getQuota(management, target)
}

/** Those of the configuration hold again. */
export async function removeQuota({ db }: Management, target: QuotaTarget): Promise<void> {
  await db.transaction(async (tx) => {
    if (!(await deleteQuota(tx, await scopeOf(tx, target)))) throw unknown('a quota that was set here')
  })
}

async function scopeOf(db: Executor, target: QuotaTarget): Promise<string> {
  if (target.kind === 'registry') return REGISTRY_SCOPE
  if (target.kind === 'project') return projectScope((await existingProject(db, target.name)).name)
  const user = await findUser(db, target.name)
  if (!user) throw unknown(`the user ${target.name}`)
  return userScope(user.id)
}

async function targetOf(db: Executor, { scope }: QuotaRecord): Promise<QuotaTarget | undefined> {
  if (scope === REGISTRY_SCOPE) return { kind: 'registry' }
  const [kind = '', ...rest] = scope.split(':')
  if (kind === 'project') return { kind, name: rest.join(':') }
  const user = await findUserById(db, Number(rest[0]))
  return user && { kind: 'user', name: user.name }
}
