// Why an operation of the management is refused. http/api/ turns it into a status and a problem document.

export type RefusalReason =
  /** What was sent cannot be used. */
  | 'invalid'
  | 'unknown'
  /** The name is in use. */
  | 'taken'
  | 'forbidden'
  /** Somebody else changed it meanwhile. */
  | 'stale'
  /** Something else stands in the way. */
  | 'conflict'
  /** Somebody else whom it needs does not answer. */
  | 'unavailable'

export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly reason: RefusalReason

  /** @param sentence for the caller: what is wrong and what to do */
  constructor(reason: RefusalReason, sentence: string) {
    super(sentence)
    this.reason = reason
  }
}
