// Headers and secrets of webhooks, as they are kept: whoever has the database alone cannot read them out of the row by accident, and
// no reply of the API has them.
import { Seal } from '#access/sealed.ts'
import type { Unsealed } from '#events/webhooks/deliverer.ts'

const PURPOSE = 'stowage webhooks'

export class WebhookSeal {
  readonly #seal: Seal

  /** @param secret of this registry, the same for all processes */
  constructor(secret: string) {
    this.#seal = new Seal(secret, PURPOSE)
  }

  seal(unsealed: Unsealed): string {
    return this.#seal.close(JSON.stringify(unsealed))
  }

  /** Undefined for what this registry did not seal. */
  unseal(sealed: string): Unsealed | undefined {
    const text = this.#seal.open(sealed)
    if (text === undefined) return undefined
    const { headers, secret } = JSON.parse(text) as Unsealed
    return { headers, secret }
  }
}
