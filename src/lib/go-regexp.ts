// A pattern written for Go's regexp package, as a RegExp; or undefined where the two languages part ways.

const FLAGS = /^\(\?([ims]+)\)/

/** Patterns longer than this are refused. */
const PATTERN_CHARACTERS_MAX = 4096

/**
 * Leading flags (`(?i)`) are taken over. POSIX classes (`[[:alpha:]]`), which JavaScript would read as something else,
 * and all that it does not know (`\A`, `\z`, `(?P<name>`) are refused: undefined.
 */
export function goRegExp(pattern: string): RegExp | undefined {
  if (pattern.length > PATTERN_CHARACTERS_MAX || pattern.includes('[[:')) return undefined
  const flags = FLAGS.exec(pattern)
  try {
    return new RegExp(
      flags ? pattern.slice(flags[0].length) : pattern,
      `u${[...new Set(flags?.[1])].join('')}`,
    )
  } catch {
    return undefined
  }
}
