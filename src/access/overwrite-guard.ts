// Refuses to move a tag to whoever may push and not overwrite. Tokens know no such right: it is looked up when a tag would
// move, in the transaction that moves it.
import { findIdentity, type RightsOptions, rightsIn } from '#access/rights.ts'
import { isOwnWork } from '#identity/caller.ts'
import { OciError } from '#oci/errors.ts'
import type { Guard } from '#registry/guards.ts'

const NAME = 'overwrite'

export function overwriteGuard(options: RightsOptions, now: () => number): Guard {
  return {
    name: NAME,
    async confirm(tx, change, caller) {
      if (change.kind !== 'push-manifest' || isOwnWork(caller)) return undefined
      const [tag] = change.moved
      if (tag === undefined) return undefined
      const { repository } = change
      const identity = await findIdentity(tx, caller.principal, now())
      const rights = identity && (await rightsIn(tx, identity, repository, options))
      if (rights?.has('overwrite')) return undefined
      throw new OciError('DENIED', {
        message: `the tag ${tag} points at another manifest, and moving it needs the right overwrite`,
        detail: { guard: NAME, repository, tag },
      })
    },
  }
}
