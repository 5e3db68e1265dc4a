// Seeded numbers, so that a run can be repeated (mulberry32).

export interface Random {
  /** A whole number from 0 to below max. */
  below(max: number): number
  bytes(count: number): Buffer
}

export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  return {
    below: (max) => next() % max,
    bytes(count) {
      const buffer = Buffer.allocUnsafe(count)
      for (let index = 0; index < count; index++) buffer[index] = next() & 0xff
      return buffer
    },
  }
}
