// The seam for everything that may stop a request before it happens: read-only mode, rights to move tags, immutable tags,
// quotas.
import type { Transaction } from '#db/db.ts'
import type { Reserve } from '#db/reserve.ts'
import type { Caller } from '#identity/caller.ts'
import type { Digest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { Reference, RepositoryName, Tag } from '#oci/reference.ts'

export type Intent =
  | {
      readonly kind: 'push-blob'
      readonly repository: RepositoryName
      /** As far as it is known, with what was received before. */
      readonly size?: number | undefined
      /** As the client names it, where it did. */
      readonly digest?: Digest | undefined
    }
  | {
      readonly kind: 'push-manifest'
      readonly repository: RepositoryName
      readonly digest: Digest
      readonly tags: readonly string[]
      readonly size: number
    }
  | { readonly kind: 'delete-blob'; readonly repository: RepositoryName; readonly digest: Digest }
  | { readonly kind: 'delete-manifest'; readonly repository: RepositoryName; readonly reference: Reference }

/** What is about to be written, as the transaction that writes it sees it: nobody changes it meanwhile. */
export type Change =
  | {
      readonly kind: 'link-blob'
      readonly repository: RepositoryName
      /** Of the bytes; so are all digests here but those that name a manifest. */
      readonly sha256: Digest
      readonly size: number
    }
  | {
      readonly kind: 'push-manifest'
      readonly repository: RepositoryName
      readonly sha256: Digest
      readonly size: number
      readonly tags: readonly Tag[]
      /** Those of the tags that point at another manifest until now. */
      readonly moved: readonly Tag[]
      /** Those of the tags that were not there. */
      readonly created: readonly Tag[]
    }
  | { readonly kind: 'delete-tag'; readonly repository: RepositoryName; readonly tag: Tag }
  | { readonly kind: 'delete-manifest'; readonly repository: RepositoryName; readonly manifestId: number }
  | { readonly kind: 'delete-blob'; readonly repository: RepositoryName; readonly blobId: number }

export interface Room {
  /** So many a blob may have. */
  readonly bytes: number
  /** For one that has `size`, which is more. @throws OciError */
  readonly refuse: (size: number) => never
}

/** Refuses by throwing an OciError. A refusal says in its detail which guard it was. */
export interface Guard {
  readonly name: string
  /** Before anything is read or written for the request, as far as it is known by then. */
  check?(intent: Intent, caller: Caller): void | Promise<void>
  /** Before bytes whose number nobody knows: undefined for room without end. */
  room?(repository: RepositoryName, caller: Caller): Promise<Room | undefined>
  /**
   * In the transaction of the write, before it: for what must be right whoever else writes. Awaits nothing but its own
   * queries. Resolves to warnings for the client.
   */
  confirm?(tx: Transaction, change: Change, caller: Caller): Promise<readonly string[] | undefined>
}

/** Guards run in the order of the list; the first refusal ends it. */
export async function checkGuards(guards: readonly Guard[], intent: Intent, caller: Caller): Promise<void> {
  for (const guard of guards) await guard.check?.(intent, caller)
}

/** The least room that any guard has. */
export async function roomFor(
  guards: readonly Guard[],
  repository: RepositoryName,
  caller: Caller,
): Promise<Room | undefined> {
  let least: Room | undefined
  for (const guard of guards) {
    const room = await guard.room?.(repository, caller)
    if (room && room.bytes < (least?.bytes ?? Number.POSITIVE_INFINITY)) least = room
  }
  return least
}

/** As checkGuards, in the transaction. Resolves to all warnings. */
export async function confirmChange(
  tx: Transaction,
  guards: readonly Guard[],
  change: Change,
  caller: Caller,
): Promise<readonly string[]> {
  const warnings: string[] = []
  for (const guard of guards) warnings.push(...((await guard.confirm?.(tx, change, caller)) ?? []))
  return warnings
}

/** registry:2's `storage.maintenance.readonly`: everything that writes is refused. */
export const readOnlyGuard: Guard = {
  name: 'read-only',
  check() {
    throw new OciError('READ_ONLY', { detail: { guard: 'read-only' } })
  },
}

/** registry:2's `storage.delete.enabled: false`. Cancelling an upload is no delete. */
export const noDeleteGuard: Guard = {
  name: 'delete-disabled',
  check(intent) {
    if (intent.kind === 'delete-blob' || intent.kind === 'delete-manifest') {
      throw new OciError('DELETE_DISABLED', { detail: { guard: 'delete-disabled' } })
    }
  },
}

/** While deletes live on what the reserve gave, pushes wait: their bytes would take it. Cancelling an upload is no push. */
export function reserveGuard(reserve: Reserve): Guard {
  return {
    name: 'reserve',
    async check(intent) {
      if (!reserve.isGivenUp || intent.kind === 'delete-blob' || intent.kind === 'delete-manifest') return
      if (!(await reserve.make())) throw new OciError('STORAGE_FULL', { detail: { guard: 'reserve' } })
    },
  }
}
