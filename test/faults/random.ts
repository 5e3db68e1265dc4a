// Chance that can be repeated: the same seed gives the same choices. (What the machine does meanwhile is not repeated.)

/** mulberry32: 32 bits of state, good enough to choose what a test does. */
export class SeededRandom {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 inclusive to 1 exclusive. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number, both ends inclusive. */
  between(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(list: readonly T[]): T {
    const item = list[this.between(0, list.length - 1)]
    if (item === undefined) throw new Error('nothing to pick from')
    return item
  }

  bytes(size: number): Buffer {
    const words = new Uint32Array(Math.ceil(size / 4))
    for (let index = 0; index < words.length; index++) words[index] = this.next() * 2 ** 32
    return Buffer.from(words.buffer, 0, size)
  }

  /** Another source, whose choices do not depend on how often this one is asked from now on. */
  fork(): SeededRandom {
    return new SeededRandom(this.between(0, 2 ** 32 - 1))
  }
}
