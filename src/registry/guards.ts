// The seam for everything that may stop a request before it happens: read-only mode, later quotas, quarantine, signatures.
import type { Caller } from '#identity/caller.ts'
import type { Digest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { Reference, RepositoryName } from '#oci/reference.ts'

export type Intent =
  | { readonly kind: 'push-blob'; readonly repository: RepositoryName; readonly size?: number | undefined }
  | {
      readonly kind: 'push-manifest'
      readonly repository: RepositoryName
      readonly digest: Digest
      readonly tags: readonly string[]
      readonly size: number
    }
  | { readonly kind: 'delete-blob'; readonly repository: RepositoryName; readonly digest: Digest }
  | { readonly kind: 'delete-manifest'; readonly repository: RepositoryName; readonly reference: Reference }

/** Refuses by throwing an OciError. A refusal says in its detail which guard it was. */
export interface Guard {
  readonly name: string
  check(intent: Intent, caller: Caller): void | Promise<void>
}

/** Guards run in the order of the list; the first refusal ends it. */
export async function checkGuards(guards: readonly Guard[], intent: Intent, caller: Caller): Promise<void> {
  for (const guard of guards) await guard.check(intent, caller)
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
