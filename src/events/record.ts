// Records an event in the transaction of the write that it tells of.
import type { Transaction } from '#db/db.ts'
import { insertEvent, type NewEvent } from '#db/events.ts'
import type { Fact, ReadKind, WriteKind } from '#events/kinds.ts'
import type { Caller } from '#identity/caller.ts'
import { principalName } from '#identity/principal.ts'

export function eventOf(kind: WriteKind | ReadKind, fact: Fact, caller: Caller, at: number): NewEvent {
  return {
    at,
    kind,
    repository: fact.repository,
    digest: fact.digest ?? null,
    tag: fact.tag ?? null,
    mediaType: fact.mediaType ?? null,
    size: fact.size ?? null,
    fromRepository: fact.fromRepository ?? null,
    actor: principalName(caller.principal) ?? null,
    remote: caller.remote ?? null,
    userAgent: caller.userAgent ?? null,
    requestId: caller.requestId,
    durationMs: fact.durationMs ?? null,
    method: caller.method ?? null,
    origin: caller.origin?.() ?? null,
  }
}

export async function recordEvent(
  tx: Transaction,
  kind: WriteKind,
  fact: Fact,
  caller: Caller,
  at: number,
): Promise<void> {
  await insertEvent(tx, eventOf(kind, fact, caller, at))
}
