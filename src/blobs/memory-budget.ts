import { OciError } from '#oci/errors.ts'

/** Bytes that several holders share. */
export class MemoryBudget {
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** @throws OciError STORAGE_FULL, and takes nothing then */
  take(bytes: number): void {
    if (this.#bytes + bytes > this.#bytesMax)
      throw new OciError('STORAGE_FULL', { detail: { bytesMax: this.#bytesMax } })
    this.#bytes += bytes
  }

  give(bytes: number): void {
    this.#bytes -= bytes
  }
}
