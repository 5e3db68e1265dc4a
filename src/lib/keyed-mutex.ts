/** Runs work of one key one at a time, in the order of the calls; work of different keys runs side by side. */
export class KeyedMutex<K> {
  /** The last work of each key that is busy: an idle key costs nothing. */
  readonly #tails = new Map<K, Promise<unknown>>()

  /** Keys that have work running or waiting. */
  get size(): number {
    return this.#tails.size
  }

  /** Settles as the work does; a failure does not stop the work behind it. */
  run<T>(key: K, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key)
    const result = before ? before.then(work) : start(work)
    const tail = result
      .catch(() => {})
      .then(() => {
        if (this.#tails.get(key) === tail) this.#tails.delete(key)
      })
    this.#tails.set(key, tail)
    return result
  }
}

async function start<T>(work: () => Promise<T>): Promise<T> {
  return work()
}
