// Makes commits durable: one sync of the WAL shared by all that wait for it. After one that failed, none is trusted again.
//
// A system that could not write pages to the disk says so once, may drop them, and lets the next sync succeed
// (https://lwn.net/Articles/752063/). Going on would acknowledge pushes that the disk does not have. So nothing more is
// written, until a restart has read what is really there.
import { SharedSync } from '#lib/shared-sync.ts'
import { OciError } from '#oci/errors.ts'

export class WalSync {
  readonly #shared: SharedSync
  #failure: OciError | undefined

  /** `sync` begins anew with each call; `onFailure` is told once. */
  constructor(sync: () => Promise<void>, onFailure: (error: Error) => void = () => {}) {
    this.#shared = new SharedSync(async () => {
      this.check()
      try {
        await sync()
      } catch (cause) {
        this.#failure = new OciError('UNAVAILABLE', {
          message:
            'the disk failed to keep what the database wrote: reads go on, writes are refused until the server is restarted',
          cause,
        })
        onFailure(this.#failure)
        throw this.#failure
      }
    })
  }

  /** Resolves when everything written before the call is durable. @throws OciError UNAVAILABLE, from the first failure on */
  run(): Promise<void> {
    return this.#shared.run()
  }

  /** @throws OciError UNAVAILABLE once a sync has failed */
  check(): void {
    if (this.#failure) throw this.#failure
  }
}
