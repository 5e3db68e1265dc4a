// Something large that is made when it is first wanted, once, by whoever comes first; a failure is tried again.

export class OnDemand<T> {
  readonly #make: () => Promise<T>
  #made: Promise<T> | undefined

  constructor(make: () => Promise<T>) {
    this.#make = make
  }

  get(): Promise<T> {
    this.#made ??= this.#make().catch((error) => {
      this.#made = undefined
      throw error
    })
    return this.#made
  }

  /** Undefined where nobody wanted it yet. */
  get made(): Promise<T> | undefined {
    return this.#made
  }
}
