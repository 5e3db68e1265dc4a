// Refuses pushes that would exceed a quota: before their bytes are taken where their size is known, and in the transaction
// that would add them otherwise. That one decides, and is right however many push at once.
//
// Where many write at once (PostgreSQL), none sees what others are about to commit. So each push holds a lock on what is
// counted. As long as the limit is far they share it, and wait for nobody: what all of them together can add is less than
// what is kept free (SLACK), for no more than SHARERS_MAX may hold it at once and none of them may add more than its part
// of that. Nearer to the limit, or with more to add, a push holds it alone, and sees everything. It is shared first where
// nothing is known, and held alone at once where the limit was near lately: one question less for almost every push.
import { type DefaultLimits, isNearlyUsed, type LimitedScope, limitedScopes } from '#access/quotas/limits.ts'
import { exceeded, nearlyUsed } from '#access/quotas/quota-text.ts'
import { findBlob } from '#db/blobs.ts'
import type { Executor, Transaction } from '#db/db.ts'
import { lockUsage, markWarned } from '#db/quotas.ts'
import { findRepository } from '#db/repositories.ts'
import { isHeld, MEASURES, type Measure, type Usage, usagesOf } from '#db/usage.ts'
import { recordEvent } from '#events/record.ts'
import { projectOf } from '#identity/account-name.ts'
import type { Caller } from '#identity/caller.ts'
import { userName } from '#identity/principal.ts'
import { Lru } from '#lib/lru.ts'
import type { Digest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { RepositoryName } from '#oci/reference.ts'
import type { Change, Guard, Intent, Room } from '#registry/guards.ts'

const NAME = 'quota'

/** The part of a limit that is kept free while pushes share. */
const SLACK = 1 / 16
/** Connections that one PostgreSQL lends to pushes at once, over all processes. */
const SHARERS_MAX = 256

export interface QuotaGuardOptions {
  readonly db: Executor
  readonly defaults: DefaultLimits
  readonly projectDepth: number
  readonly now: () => number
  /** Told of a scope that has many changes which are worth gathering. Must not wait. */
  readonly onManyChanges: (scope: string) => void
}

/** Beyond it a push that is near finds out for itself. */
const NEAR_SCOPES_MAX = 10_000

/** Rows of changes to one scope that a push is willing to look at. */
const CHANGES_LOOKED_AT = 500

export function quotaGuard(options: QuotaGuardOptions): Guard {
  const scopesFor = (db: Executor, repository: RepositoryName, caller: Caller) => {
    const project = projectOf(repository, options.projectDepth)
    const whose = { project, user: userName(caller.principal) }
    return limitedScopes(db, whose, options.defaults).then((scopes) => ({ project, scopes }))
  }
  /** Scopes whose limit was near when a push of this process looked last. */
  const near = new Lru<string, true>({ weightMax: NEAR_SCOPES_MAX, entryWeightMax: 1 })
  return {
    name: NAME,

    async check(intent, caller) {
      if (intent.kind !== 'push-blob' || intent.size === undefined || intent.size === 0) return
      const { db } = options
      const { project, scopes } = await scopesFor(db, intent.repository, caller)
      if (scopes.length === 0) return
      const counted = await usagesOf(db, scopesOf(scopes))
      // Asked after what is used: who brings the same at this moment is in both, or in neither.
      const isHere = await heldFor(db, project, intent)
      for (const [index, scope] of scopes.entries()) {
        const added = bytesAdded(scope, isHere, intent.size)
        if (added > 0) refuseBeyond(scope, counted[index]?.used ?? NOTHING, { ...NOTHING, bytes: added })
      }
    },

    async room(repository, caller) {
      const { scopes } = await scopesFor(options.db, repository, caller)
      const rooms: Room[] = []
      const limited = scopes.filter(({ limits }) => limits.bytes !== null)
      if (limited.length === 0) return undefined
      const counted = await usagesOf(options.db, scopesOf(limited))
      for (const [index, scope] of limited.entries()) {
        if (scope.limits.bytes === null) continue
        const used = counted[index]?.used ?? NOTHING
        const bytes = Math.max(0, scope.limits.bytes - used.bytes)
        rooms.push({ bytes, refuse: (size) => refuse(scope, 'bytes', used.bytes, size) })
      }
      return rooms.sort((a, b) => a.bytes - b.bytes)[0]
    },

    async confirm(tx, change, caller) {
      if (change.kind !== 'link-blob' && change.kind !== 'push-manifest') return undefined
      const { project, scopes } = await scopesFor(tx, change.repository, caller)
      if (scopes.length === 0) return undefined
      const counts = await countsAdded(tx, change)
      const look = async (): Promise<Standing[]> => {
        const counted = await usagesOf(tx, scopesOf(scopes))
        // What is added is asked after what is used, and again after each wait: others may have brought the same meanwhile.
        const isHere = await isHeld(tx, project, change.sha256)
        return scopes.map((scope, index) => {
          const { used, changes } = counted[index] ?? { used: NOTHING, changes: 0 }
          if (changes > CHANGES_LOOKED_AT) options.onManyChanges(scope.scope)
          return { scope, used, added: { ...counts, bytes: bytesAdded(scope, isHere, change.size) } }
        })
      }
      const warnings: string[] = []
      for (const { scope, used, added } of await lookLocked(
        tx,
        scopes,
        { ...counts, bytes: change.size },
        look,
      )) {
        refuseBeyond(scope, used, added)
        warnings.push(...(await warn(tx, scope, sum(used, added), { change, caller, now: options.now() })))
      }
      return warnings
    },
  }

  /** Looks when what it sees can only be changed by what is kept free for. */
  async function lookLocked(
    tx: Transaction,
    scopes: readonly LimitedScope[],
    most: Usage,
    look: () => Promise<Standing[]>,
  ): Promise<Standing[]> {
    if (tx.engine === 'sqlite') return look()
    const isAlone = (scope: LimitedScope) => near.get(scope.scope) !== undefined || !isSmallFor(scope, most)
    const first = scopes.map((scope) => ({ scope: scope.scope, mode: isAlone(scope) ? ALONE : SHARED }))
    await lockUsage(tx, first)
    const standing = await look()
    for (const { scope, used, added } of standing) {
      if (isFarFromLimit(scope, used, added)) near.delete(scope.scope)
      else near.set(scope.scope, true, 1)
    }
    // Two who want to be alone at once are told so by the engine, and one begins again.
    const nearer = first.filter(({ scope, mode }) => mode === SHARED && near.get(scope) !== undefined)
    if (nearer.length === 0) return standing
    await lockUsage(
      tx,
      nearer.map(({ scope }) => ({ scope, mode: ALONE })),
    )
    return look()
  }
}

const SHARED = 'shared' as const
const ALONE = 'alone' as const

/** What is used of a limit, and what a push would add. */
interface Standing {
  readonly scope: LimitedScope
  readonly used: Usage
  readonly added: Usage
}

function scopesOf(scopes: readonly LimitedScope[]): string[] {
  return scopes.map(({ scope }) => scope)
}

function sum(a: Usage, b: Usage): Usage {
  return {
    bytes: a.bytes + b.bytes,
    repositories: a.repositories + b.repositories,
    tags: a.tags + b.tags,
  }
}

const NOTHING: Usage = { bytes: 0, repositories: 0, tags: 0 }

interface Here {
  readonly project: boolean
  readonly registry: boolean
}

async function heldFor(
  db: Executor,
  project: string,
  { digest }: Intent & { kind: 'push-blob' },
): Promise<Here> {
  const sha256 = digest && (await sha256Of(db, digest))
  return sha256 === undefined ? { project: false, registry: false } : isHeld(db, project, sha256)
}

async function sha256Of(db: Executor, digest: Digest): Promise<Digest | undefined> {
  return (await findBlob(db, digest))?.digest
}

/** What a project holds already counts for nobody again. */
function bytesAdded({ kind }: LimitedScope, isHere: Here, size: number): number {
  return (kind === 'registry' ? isHere.registry : isHere.project) ? 0 : size
}

async function countsAdded(tx: Transaction, change: Change): Promise<Usage> {
  if (change.kind !== 'push-manifest') return NOTHING
  const repository = await findRepository(tx, change.repository)
  return { bytes: 0, tags: change.created.length, repositories: repository?.listed ? 0 : 1 }
}

function isFarFromLimit(scope: LimitedScope, used: Usage, added: Usage): boolean {
  return MEASURES.every((measure) => {
    const limit = scope.limits[measure]
    if (limit === null || added[measure] === 0) return true
    const slack = slackOf(limit, measure)
    return added[measure] <= slack / SHARERS_MAX && used[measure] + added[measure] <= limit - slack
  })
}

/** Whether a push may share at all, however far the limit is. */
function isSmallFor({ limits }: LimitedScope, added: Usage): boolean {
  return MEASURES.every((measure) => {
    const limit = limits[measure]
    return limit === null || added[measure] <= slackOf(limit, measure) / SHARERS_MAX
  })
}

/** Tags and repositories come one by one. */
function slackOf(limit: number, measure: Measure): number {
  return Math.max(limit * SLACK, measure === 'bytes' ? 0 : SHARERS_MAX)
}

/** What adds nothing is never too much, also where the limit was lowered. */
function refuseBeyond(scope: LimitedScope, used: Usage, added: Usage): void {
  for (const measure of MEASURES) {
    const limit = scope.limits[measure]
    const isWithin = limit === null || added[measure] === 0 || used[measure] + added[measure] <= limit
    if (!isWithin) refuse(scope, measure, used[measure], added[measure])
  }
}

function refuse(scope: LimitedScope, measure: Measure, used: number, added: number): never {
  throw new OciError('QUOTA_EXCEEDED', {
    message: exceeded(scope, measure, used, added),
    detail: {
      ...{ guard: NAME, scope: scope.kind, name: scope.name, measure },
      ...{ used, limit: scope.limits[measure], added },
    },
  })
}

/** Sentences for the client, each time; an event the first time. */
async function warn(
  tx: Transaction,
  scope: LimitedScope,
  used: Usage,
  { change, caller, now }: { change: Change; caller: Caller; now: number },
): Promise<string[]> {
  const nearly = MEASURES.filter((measure) => isNearlyUsed(used[measure], scope.limits[measure]))
  if (nearly.length > 0 && (await markWarned(tx, scope.scope, now))) {
    const { repository } = change
    await recordEvent(tx, 'quota.warned', { repository, size: used.bytes }, caller, now)
  }
  return nearly.map((measure) => nearlyUsed(scope, measure, used[measure]))
}
