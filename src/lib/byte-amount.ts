// Numbers of bytes as people write and read them: `10GiB`, `500MB`, `4096`.

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const
const DECIMAL = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

const AMOUNT = /^(\d{1,16}(?:\.\d{1,6})?) ?(?:([kmgtp])(i?)b?|b)?$/i

/** Undefined for what is no amount, or one beyond what a number holds exactly. */
export function parseByteAmount(text: string): number | undefined {
  const match = AMOUNT.exec(text.trim())
  if (!match) return undefined
  const [, number = '', unit = '', binary = ''] = match
  const power = unit === '' ? 0 : 'kmgtp'.indexOf(unit.toLowerCase()) + 1
  const bytes = Number(number) * (binary === '' ? 1_000 : 1_024) ** power
  return Number.isSafeInteger(Math.round(bytes)) ? Math.round(bytes) : undefined
}

/** So that it reads back as the same number, in the fewest letters: `10GiB`, `500MB`, `4097B`. */
export function writeByteAmount(bytes: number): string {
  const binary = exactly(bytes, 1_024, BINARY)
  const decimal = exactly(bytes, 1_000, DECIMAL)
  return decimal.length < binary.length ? decimal : binary
}

function exactly(bytes: number, base: number, units: readonly string[]): string {
  for (let power = units.length - 1; power > 0; power--)
    if (bytes > 0 && bytes % base ** power === 0) return `${bytes / base ** power}${units[power]}`
  return `${bytes}B`
}

/** For people: `9.77 GiB`. */
export function showByteAmount(bytes: number): string {
  let power = 0
  while (Math.abs(bytes) / 1_024 ** power >= 1_023.995 && power < BINARY.length - 1) power++
  const value = bytes / 1_024 ** power
  return `${Number(value.toFixed(2))} ${BINARY[power]}`
}
