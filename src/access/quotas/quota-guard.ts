// Refuses pushes that would exceed a quota: before their bytes are taken where their size is known, and in the transaction
// that would add them otherwise. That one decides, and is right however many push at once.
//
// Where many write at once (PostgreSQL), none sees what others are about to commit. So each push holds a lock on what is
// counted. As long as the limit is far they share it, and wait for nobody: what all of them together can add is less than
// what is kept free (SLACK), for no more than SHARERS_MAX may hold it at once and none of them may add more than its part
// of that. Nearer to the limit, or with more to add, a push holds it alone, and sees everything.
import { type DefaultLimits, isNearlyUsed, type LimitedScope, limitedScopes } from '#access/quotas/limits.ts'
import { exceeded, nearlyUsed } from '#access/quotas/quota-text.ts'
import { findBlob } from '#db/blobs.ts'
import type { Executor, Transaction } from '#db/db.ts'
import { lockUsage, markWarned } from '#db/quotas.ts'
import { findRepository } from '#db/repositories.ts'
import { isHeld, MEASURES, type Measure, type Usage, usageOf } from '#db/usage.ts'
import { recordEvent } from '#events/record.ts'
import { projectOf } from '#identity/account-name.ts'
import type { Caller } from '#identity/caller.ts'
import { userName } from '#identity/principal.ts'
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

/** Rows of changes to one scope that a push is willing to look at. */
const CHANGES_LOOKED_AT = 500

export function quotaGuard(options: QuotaGuardOptions): Guard {
  const scopesFor = (db: Executor, repository: RepositoryName, caller: Caller) => {
    const project = projectOf(repository, options.projectDepth)
    const whose = { project, user: userName(caller.principal) }
    return limitedScopes(db, whose, options.defaults).then((scopes) => ({ project, scopes }))
  }
  return {
    name: NAME,

    async check(intent, caller) {
      if (intent.kind !== 'push-blob' || intent.size === undefined || intent.size === 0) return
      const { db } = options
      const { project, scopes } = await scopesFor(db, intent.repository, caller)
      if (scopes.length === 0) return
      for (const scope of scopes) {
        const { used } = await usageOf(db, scope.scope)
        // Asked after what is used: who brings the same at this moment is in both, or in neither.
        const added = bytesAdded(scope, await heldFor(db, project, intent), intent.size)
        if (added > 0) refuseBeyond(scope, used, { ...NOTHING, bytes: added })
      }
    },

    async room(repository, caller) {
      const { scopes } = await scopesFor(options.db, repository, caller)
      const rooms: Room[] = []
      for (const scope of scopes) {
        if (scope.limits.bytes === null) continue
        const { used } = await usageOf(options.db, scope.scope)
        const bytes = Math.max(0, scope.limits.bytes - used.bytes)
        rooms.push({ bytes, refuse: (size) => refuse(scope, 'bytes', used.bytes, size) })
      }
      return rooms.sort((a, b) => a.bytes - b.bytes)[0]
    },

    async confirm(tx, change, caller) {
      if (change.kind !== 'link-blob' && change.kind !== 'push-manifest') return undefined
      const { project, scopes } = await scopesFor(tx, change.repository, caller)
      if (scopes.length === 0) return undefined
      const counted = await countsAdded(tx, change)
      const warnings: string[] = []
      for (const scope of scopes) {
        const added = async () => {
          const isHere = await isHeld(tx, project, change.sha256)
          return { ...counted, bytes: bytesAdded(scope, isHere, change.size) }
        }
        const used = await addWithin(tx, scope, added, options)
        warnings.push(...(await warn(tx, scope, used, { change, caller, now: options.now() })))
      }
      return warnings
    },
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

/** Resolves to what is used with the push. @throws OciError QUOTA_EXCEEDED */
async function addWithin(
  tx: Transaction,
  scope: LimitedScope,
  addedNow: () => Promise<Usage>,
  { onManyChanges }: QuotaGuardOptions,
): Promise<Usage> {
  // What is added is asked after what is used, and again after each wait: others may have brought the same meanwhile.
  const look = async () => {
    const { used, changes } = await usageOf(tx, scope.scope)
    if (changes > CHANGES_LOOKED_AT) onManyChanges(scope.scope)
    return { used, added: await addedNow() }
  }
  let { used, added } = await look()
  if (tx.engine !== 'sqlite' && MEASURES.some((measure) => added[measure] > 0)) {
    const isFar = isFarFromLimit(scope, used, added)
    await lockUsage(tx, scope.scope, isFar ? 'shared' : 'alone')
    ;({ used, added } = await look())
    // Others came nearer meanwhile. Two who want to be alone at once are told so by the engine, and one begins again.
    if (isFar && !isFarFromLimit(scope, used, added)) {
      await lockUsage(tx, scope.scope, 'alone')
      ;({ used, added } = await look())
    }
  }
  refuseBeyond(scope, used, added)
  return {
    bytes: used.bytes + added.bytes,
    repositories: used.repositories + added.repositories,
    tags: used.tags + added.tags,
  }
}

function isFarFromLimit({ limits }: LimitedScope, used: Usage, added: Usage): boolean {
  return MEASURES.every((measure) => {
    const limit = limits[measure]
    if (limit === null || added[measure] === 0) return true
    // Tags and repositories come one by one.
    const slack = Math.max(limit * SLACK, measure === 'bytes' ? 0 : SHARERS_MAX)
    return added[measure] <= slack / SHARERS_MAX && used[measure] + added[measure] <= limit - slack
  })
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
