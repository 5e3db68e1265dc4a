// Refuses what would move or delete a tag that a rule keeps, or take away what its image is made of.
import { type Keeper, keeperOf } from '#access/immutability/immutable-tags.ts'
import type { Transaction } from '#db/db.ts'
import { tagsNeedingBlob, tagsNeedingManifest } from '#db/immutability-rules.ts'
import { OciError } from '#oci/errors.ts'
import type { Change, Guard } from '#registry/guards.ts'

const NAME = 'immutability'

export const immutabilityGuard: Guard = {
  name: NAME,
  async confirm(tx, change) {
    if (change.kind === 'link-blob' || (change.kind === 'push-manifest' && change.moved.length === 0))
      return undefined
    const keeper = await keeperOf(tx, change.repository)
    for (const tag of await tagsTouched(tx, change, keeper)) {
      const rule = keeper(tag)
      if (rule !== undefined) throw immutable(change, tag, rule)
    }
    return undefined
  },
}

async function tagsTouched(tx: Transaction, change: Change, keeper: Keeper): Promise<readonly string[]> {
  // Who asks for all tags above a layer asks for many: not where no rule is.
  if (keeper.isIdle || change.kind === 'link-blob') return []
  if (change.kind === 'push-manifest') return change.moved
  if (change.kind === 'delete-tag') return [change.tag]
  return change.kind === 'delete-manifest'
    ? tagsNeedingManifest(tx, change.manifestId)
    : tagsNeedingBlob(tx, change.repository, change.blobId)
}

function immutable({ kind, repository }: Change, tag: string, rule: string): OciError {
  const whose = kind === 'delete-manifest' || kind === 'delete-blob' ? ', and this is part of it' : ''
  return new OciError('TAG_IMMUTABLE', {
    message: `the tag ${tag} is immutable by the rule ${JSON.stringify(rule)}${whose}`,
    detail: { guard: NAME, repository, tag, rule },
  })
}
