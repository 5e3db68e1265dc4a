// What a store holds, taken in by one listing: for a pass that would otherwise ask the store about each blob.
import type { BlobStat, Listing } from '#blobs/store.ts'
import { type Digest, encodedOf } from '#oci/digest.ts'

const HEX_BYTES = 32
/** A digest, a size and a time. */
const RECORD_BYTES = HEX_BYTES + 8 + 8
const FIRST_RECORDS = 1_024
/** 192 MB; of a larger store each blob is asked for. */
const RECORDS_MAX = 4_000_000

export class StoredSizes {
  readonly #records: Buffer
  readonly #count: number

  private constructor(records: Buffer, count: number) {
    this.#records = records
    this.#count = count
  }

  /** Undefined when the store holds too much. @throws the reason of the signal */
  static async read(store: Listing, signal: AbortSignal): Promise<StoredSizes | undefined> {
    let records = Buffer.allocUnsafeSlow(FIRST_RECORDS * RECORD_BYTES)
    let count = 0
    let isSorted = true
    for await (const { digest, size, modifiedAt } of store.blobs()) {
      signal.throwIfAborted()
      if (count === RECORDS_MAX) return undefined
      const at = count * RECORD_BYTES
      if (at === records.length) {
        const larger = Buffer.allocUnsafeSlow(records.length * 2)
        records.copy(larger)
        records = larger
      }
      records.write(encodedOf(digest), at, 'hex')
      records.writeDoubleLE(size, at + HEX_BYTES)
      records.writeDoubleLE(modifiedAt, at + HEX_BYTES + 8)
      if (count > 0 && compareAt(records, count - 1, count) > 0) isSorted = false
      count += 1
    }
    return new StoredSizes(isSorted ? records : sorted(records, count), count)
  }

  get(digest: Digest): BlobStat | undefined {
    const wanted = Buffer.from(encodedOf(digest), 'hex')
    let [low, high] = [0, this.#count - 1]
    while (low <= high) {
      const middle = (low + high) >> 1
      const at = middle * RECORD_BYTES
      const order = this.#records.compare(wanted, 0, HEX_BYTES, at, at + HEX_BYTES)
      if (order === 0) {
        const size = this.#records.readDoubleLE(at + HEX_BYTES)
        return { size, modifiedAt: this.#records.readDoubleLE(at + HEX_BYTES + 8) }
      }
      if (order < 0) low = middle + 1
      else high = middle - 1
    }
    return undefined
  }
}

function compareAt(records: Buffer, one: number, other: number): number {
  const [from, to] = [one * RECORD_BYTES, other * RECORD_BYTES]
  return records.compare(records, to, to + HEX_BYTES, from, from + HEX_BYTES)
}

/** For a store that lists in no order. */
function sorted(records: Buffer, count: number): Buffer {
  const order = Array.from({ length: count }, (_, index) => index)
  order.sort((one, other) => compareAt(records, one, other))
  const result = Buffer.allocUnsafeSlow(count * RECORD_BYTES)
  for (const [index, from] of order.entries())
    records.copy(result, index * RECORD_BYTES, from * RECORD_BYTES, (from + 1) * RECORD_BYTES)
  return result
}
