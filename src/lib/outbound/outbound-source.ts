// The way out, opened when it is first needed: a server that reaches nobody does not load it.
import { readFile } from 'node:fs/promises'
import type { Outbound } from './outbound.ts'

export interface OutboundSourceOptions {
  /** See isAllowEntry. */
  readonly allow: readonly string[]
  /** A file of certificates, PEM. */
  readonly rootCertBundle: string | undefined
}

export class OutboundSource {
  readonly #options: OutboundSourceOptions
  #opened: Promise<Outbound> | undefined

  constructor(options: OutboundSourceOptions) {
    this.#options = options
  }

  /** The same one for all. @throws Error when the certificates cannot be read */
  open(): Promise<Outbound> {
    this.#opened ??= this.#open()
    return this.#opened
  }

  async #open(): Promise<Outbound> {
    const { allow, rootCertBundle } = this.#options
    const { Outbound } = await import('./outbound.ts')
    const ca = rootCertBundle === undefined ? [] : [await readFile(rootCertBundle, 'utf8')]
    return new Outbound({ allow, ca })
  }

  async close(): Promise<void> {
    const outbound = await this.#opened?.catch(() => undefined)
    await outbound?.close()
  }
}
