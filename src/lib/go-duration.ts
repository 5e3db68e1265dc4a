// Durations as Go writes them: `300ms`, `168h`, `1h30m`. A bare whole number counts nanoseconds, as in Go's own YAML.

const NANOSECONDS_PER_MS = 1e6
/** Go keeps a duration in 63 bits of nanoseconds: about 292 years. */
const DURATION_MS_MAX = 9_223_372_036_854

const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
const PARTS_OF_MS: Readonly<Record<string, number>> = { ns: NANOSECONDS_PER_MS, us: 1000, µs: 1000, μs: 1000 }

const DURATION = /^[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/
const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g
const BARE_INTEGER = /^[+-]?\d+$/

/** Milliseconds, with a fraction where the text is finer; undefined when the text is not a Go duration. */
export function parseGoDuration(text: string): number | undefined {
  const ms = BARE_INTEGER.test(text) ? Number(text) / NANOSECONDS_PER_MS : sumOfParts(text)
  if (ms === undefined || Math.abs(ms) > DURATION_MS_MAX) return undefined
  return ms === 0 ? 0 : ms
}

function sumOfParts(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined
  let ms = 0
  for (const [, amount = '', unit = ''] of text.matchAll(PART)) {
    const fraction = PARTS_OF_MS[unit]
    ms += fraction === undefined ? Number(amount) * (MS_PER_UNIT[unit] ?? 0) : Number(amount) / fraction
  }
  return text.startsWith('-') ? -ms : ms
}

/** The shortest spelling that parses to the same milliseconds: `168h`, `1h30m`, `1s500ms`, `0s`. */
export function formatGoDuration(ms: number): string {
  // Apart, because the nanoseconds of more than 104 days do not fit the whole numbers of a double.
  const whole = Math.trunc(Math.abs(ms))
  const fraction = Math.round((Math.abs(ms) - whole) * NANOSECONDS_PER_MS)
  const nanoseconds = BigInt(whole) * BigInt(NANOSECONDS_PER_MS) + BigInt(fraction)
  if (nanoseconds === 0n) return '0s'
  const parts: string[] = []
  let rest = nanoseconds
  for (const [unit, size] of [
    ['h', 3_600_000_000_000n],
    ['m', 60_000_000_000n],
    ['s', 1_000_000_000n],
    ['ms', 1_000_000n],
    ['us', 1000n],
    ['ns', 1n],
  ] as const) {
    if (rest >= size) parts.push(`${rest / size}${unit}`)
    rest %= size
  }
  return (ms < 0 ? '-' : '') + parts.join('')
}
