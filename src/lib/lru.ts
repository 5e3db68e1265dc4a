export interface LruOptions {
  /** All entries together. */
  readonly weightMax: number
  /** An entry above this is not kept: one large thing must not push out many small ones. */
  readonly entryWeightMax: number
}

interface Entry<K, V> {
  readonly key: K
  readonly value: V
  readonly weight: number
  newer: Entry<K, V> | undefined
  older: Entry<K, V> | undefined
}

/**
 * Keeps what was used last, within a total weight (bytes, say). Every operation is O(1), amortised over what it drops.
 * The order is a list of its own: taking the first key of a Map steps over every deleted one before it.
 */
export class Lru<K, V> {
  readonly #weightMax: number
  readonly #entryWeightMax: number
  readonly #entries = new Map<K, Entry<K, V>>()
  #newest: Entry<K, V> | undefined
  #oldest: Entry<K, V> | undefined
  #weight = 0

  constructor(options: LruOptions) {
    this.#weightMax = options.weightMax
    this.#entryWeightMax = Math.min(options.entryWeightMax, options.weightMax)
  }

  get size(): number {
    return this.#entries.size
  }

  get weight(): number {
    return this.#weight
  }

  get(key: K): V | undefined {
    const entry = this.#entries.get(key)
    if (!entry) return undefined
    if (entry !== this.#newest) {
      this.#unlink(entry)
      this.#link(entry)
    }
    return entry.value
  }

  /**
   * Something of no weight counts as 1, so that the number of entries is bounded too. An older value of the key is dropped
   * also when the new one is too heavy to keep.
   */
  set(key: K, value: V, weight: number): void {
    this.delete(key)
    const counted = Math.max(weight, 1)
    if (counted > this.#entryWeightMax) return
    const entry: Entry<K, V> = { key, value, weight: counted, newer: undefined, older: undefined }
    this.#entries.set(key, entry)
    this.#link(entry)
    this.#weight += counted
    while (this.#weight > this.#weightMax && this.#oldest) this.delete(this.#oldest.key)
  }

  /** True when there was an entry. */
  delete(key: K): boolean {
    const entry = this.#entries.get(key)
    if (!entry) return false
    this.#unlink(entry)
    this.#weight -= entry.weight
    return this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
    this.#newest = undefined
    this.#oldest = undefined
    this.#weight = 0
  }

  #link(entry: Entry<K, V>): void {
    entry.older = this.#newest
    entry.newer = undefined
    if (this.#newest) this.#newest.newer = entry
    else this.#oldest = entry
    this.#newest = entry
  }

  #unlink(entry: Entry<K, V>): void {
    if (entry.newer) entry.newer.older = entry.older
    else this.#newest = entry.older
    if (entry.older) entry.older.newer = entry.newer
    else this.#oldest = entry.newer
  }
}
