// The kinds of single values: how each is read from text, written back, and called in the reference.
import { resolve } from 'node:path'
import { parseByteAmount, writeByteAmount } from '../byte-amount.ts'
import { formatGoDuration, parseGoDuration } from '../go-duration.ts'
import { parseRate, type Rate, writeRate } from '../rate.ts'
import type { ReadContext, Setting } from './node.ts'

interface Common<T> {
  readonly initial?: T
  readonly secret?: boolean
  readonly status?: 'works' | 'ignored'
}

type Kept<T, Options> = Options extends { readonly initial: infer I }
  ? I extends undefined
    ? T | undefined
    : T
  : T | undefined

interface Kind<T, Unit extends string> {
  readonly type: string
  readonly unit: Unit
  read(text: string, context: ReadContext): T
  write(value: T): string
}

function setting<T, Unit extends string, Options extends Common<T>>(
  about: string,
  kind: Kind<T, Unit>,
  options: Options | undefined,
): Setting<Kept<T, Options>, Unit> {
  const initial = options?.initial as Kept<T, Options>
  return {
    ...kind,
    kind: 'setting',
    about,
    initial,
    secret: options?.secret ?? false,
    status: options?.status ?? 'works',
    read: (text, context) => kind.read(text, context) as Kept<T, Options>,
    write: (value) => (value === undefined ? '' : kind.write(value as T)),
  }
}

/** Any text, or what `check` lets pass: it returns what is wrong ("must be ..."), or undefined. */
export function text<const Options extends Common<string>>(
  about: string,
  options?: Options,
  check: (text: string) => string | undefined = () => undefined,
  type = 'text',
) {
  return setting(
    about,
    {
      type,
      unit: '',
      read(value) {
        const wrong = check(value)
        if (wrong !== undefined) throw new Error(wrong)
        return value
      },
      write: (value: string) => value,
    },
    options,
  )
}

/** A file or folder; relative ones start at the working folder, and the effective value is absolute. */
export function path<const Options extends Common<string>>(about: string, options?: Options) {
  return setting(
    about,
    {
      type: 'path',
      unit: '',
      read(value, { cwd }) {
        if (value === '' || value.includes('\0')) throw new Error('must be a path')
        return resolve(cwd, value)
      },
      write: (value: string) => value,
    },
    options,
  )
}

const YES = new Set(['true', 'yes', 'on', 'y'])
const NO = new Set(['false', 'no', 'off', 'n'])

export function flag<const Options extends Common<boolean>>(about: string, options?: Options) {
  return setting(
    about,
    {
      type: 'true or false',
      unit: '',
      read(value) {
        const word = value.toLowerCase()
        if (YES.has(word)) return true
        if (NO.has(word)) return false
        throw new Error(`must be true or false, not ${quoted(value)}`)
      },
      write: (value: boolean): string => String(value),
    },
    options,
  )
}

/** One of some words, in any case. */
export function oneOf<const Word extends string, const Options extends Common<Word>>(
  about: string,
  words: readonly Word[],
  options?: Options,
) {
  return setting(
    about,
    {
      type: words.map((word) => `\`${word}\``).join(', '),
      unit: '',
      read(value) {
        const word = words.find((known) => known === value.toLowerCase())
        if (word === undefined) throw new Error(`must be one of ${words.join(', ')}, not ${quoted(value)}`)
        return word
      },
      write: (value: Word): string => value,
    },
    options,
  )
}

interface Whole extends Common<number> {
  readonly min?: number
  readonly max?: number
  /** Numbers up to this one mean the default, as registry:2 has it. */
  readonly defaultUpTo?: number
}

export function whole<const Unit extends string, const Options extends Whole>(
  about: string,
  unit: Unit,
  options: Options,
) {
  const {
    min = 0,
    max = Number.MAX_SAFE_INTEGER,
    defaultUpTo = Number.NEGATIVE_INFINITY,
    initial = 0,
  } = options
  return setting(
    about,
    {
      type: 'number',
      unit,
      read(value) {
        const number = /^[+-]?(?:0|[1-9]\d*)$|^0x[0-9a-f]+$/i.test(value) ? Number(value) : Number.NaN
        if (number >= min && number <= max) return number <= defaultUpTo ? initial : number
        const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
        throw new Error(`must be a whole number ${range}, not ${quoted(value)}`)
      },
      write: (value: number): string => String(value),
    },
    options,
  )
}

/** A number of bytes, which may have a unit: `10GiB`, `500MB`. */
export function byteAmount<const Options extends Common<number>>(about: string, options: Options) {
  return setting(
    about,
    {
      type: 'bytes',
      unit: '',
      read(value) {
        const bytes = parseByteAmount(value)
        if (bytes !== undefined) return bytes
        throw new Error(`must be a number of bytes such as 10GiB, 500MB or 4096, not ${quoted(value)}`)
      },
      write: (value: number): string => (value === 0 ? '0' : writeByteAmount(value)),
    },
    options,
  )
}

/** A number with a fraction, not negative. */
export function decimal<const Options extends Common<number>>(about: string, options: Options) {
  return setting(
    about,
    {
      type: 'number',
      unit: '',
      read(value) {
        const number = /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN
        if (number >= 0) return number
        throw new Error(`must be a number such as 0.023, not ${quoted(value)}`)
      },
      write: (value: number): string => String(value),
    },
    options,
  )
}

/** So many things or bytes in so long: `100/6h`, `50GB/1h`. */
export function rate(about: string, of: 'things' | 'bytes') {
  const [type, example] = of === 'bytes' ? ['byte rate', '50GB/1h'] : ['rate', '100/6h']
  return setting(
    about,
    {
      type,
      unit: '',
      read(value) {
        const read = parseRate(value, of)
        if (read) return read
        throw new Error(
          `must be a rate such as ${example}, of at least 1 in at least a second, not ${quoted(value)}`,
        )
      },
      write: (value: Rate): string => writeRate(value, of),
    },
    {} as Common<Rate>,
  )
}

interface Duration extends Common<number> {
  /** Zero means the default, as registry:2 has it. */
  readonly zeroIsDefault?: boolean
}

/** Effective in milliseconds. */
export function duration<const Options extends Duration>(about: string, options: Options) {
  const { zeroIsDefault = false, initial = 0 } = options
  return setting(
    about,
    {
      type: 'duration',
      unit: 'Ms',
      read(value) {
        const ms = parseGoDuration(value)
        if (ms === undefined) {
          throw new Error(`must be a duration such as 300ms, 90s or 1h30m, not ${quoted(value)}`)
        }
        if (ms < 0) throw new Error(`must not be negative: ${quoted(value)}`)
        return ms === 0 && zeroIsDefault ? initial : ms
      },
      write: (value: number): string => formatGoDuration(value),
    },
    options,
  )
}

const QUOTED_CHARACTERS_MAX = 60

function quoted(value: string): string {
  return JSON.stringify(
    value.length > QUOTED_CHARACTERS_MAX ? `${value.slice(0, QUOTED_CHARACTERS_MAX)}...` : value,
  )
}
