// Takes a tag away as a person would, but for what happened to it since it was judged.
import type { Transaction } from '#db/db.ts'
import { repositoryLock } from '#db/locks.ts'
import { findTaggedManifest } from '#db/manifests.ts'
import { findPulls } from '#db/pulls.ts'
import { findRepository } from '#db/repositories.ts'
import { deleteTag } from '#db/tags.ts'
import { recordEvent } from '#events/record.ts'
import type { Caller } from '#identity/caller.ts'
import { OciError } from '#oci/errors.ts'
import type { RepositoryName, Tag } from '#oci/reference.ts'
import { confirmChange } from '#registry/guards.ts'
import type { Registry } from '#registry/registry.ts'

export interface Retirement {
  readonly repository: RepositoryName
  readonly tag: Tag
  readonly manifestId: number
  /** When it was judged: what was pulled since stays. Milliseconds since 1970. */
  readonly judgedAt: number
  readonly caller: Caller
}

/** `refused`: by a guard, such as a rule that keeps it where it is. `changed`: pushed or pulled since it was judged. */
export type Retired = 'gone' | 'changed' | 'refused'

export async function retireTag(
  registry: Pick<Registry, 'db' | 'guards' | 'now' | 'announce'>,
  { repository, tag, manifestId, judgedAt, caller }: Retirement,
): Promise<Retired> {
  const now = registry.now()
  const retire = async (tx: Transaction): Promise<Retired> => {
    const holder = await findRepository(tx, repository)
    const manifest = await findTaggedManifest(tx, repository, tag)
    if (!holder || manifest?.id !== manifestId) return 'changed'
    for (const name of [tag, manifest.digest])
      if (((await findPulls(tx, repository, name))?.at ?? 0) > judgedAt) return 'changed'
    await confirmChange(tx, registry.guards, { kind: 'delete-tag', repository, tag }, caller)
    if (!(await deleteTag(tx, holder.id, tag))) return 'changed'
    await recordEvent(tx, 'tag.deleted', { repository, tag, digest: manifest.digest }, caller, now)
    return 'gone'
  }
  try {
    const retired = await registry.db.transaction(retire, {
      mayUseReserve: true,
      locks: [repositoryLock(repository)],
    })
    if (retired === 'gone') registry.announce()
    return retired
  } catch (error) {
    if (error instanceof OciError && error.row.status < 500) return 'refused'
    throw error
  }
}
