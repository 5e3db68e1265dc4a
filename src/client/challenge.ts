// Parses WWW-Authenticate: any number of challenges in one header, each with a token68 or parameters, quoted or not.

export interface Challenge {
  /** Lower case: `bearer`, `basic`, … */
  readonly scheme: string
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>
}

const HEADER_LENGTH_MAX = 16 * 1024
const CHALLENGES_MAX = 32

// RFC 9110, section 11.6.1. A comma separates both challenges and parameters, so the token decides: a word that is
// followed by "=" is a parameter of the challenge before it, a word that is followed by a space or nothing starts one.
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y
const PARAMETER = /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))/y
const TOKEN68 = /[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y
const SEPARATORS = /[ \t,]*/y

/** The challenges in their order. What cannot be read is passed over: a registry in the field is not always right. */
export function parseChallenges(header: string): Challenge[] {
  const text = header.slice(0, HEADER_LENGTH_MAX)
  const found: { scheme: string; parameters: Record<string, string> }[] = []
  let at = 0
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const result = pattern.exec(text)
    if (result) at += result[0].length
    return result
  }
  while (at < text.length && found.length < CHALLENGES_MAX) {
    match(SEPARATORS)
    if (at >= text.length) break
    const last = found.at(-1)
    if (last) {
      const parameter = match(PARAMETER)
      if (parameter) {
        const name = (parameter[1] ?? '').toLowerCase()
        const value = parameter[2]?.replaceAll(/\\(.)/g, '$1') ?? parameter[3] ?? ''
        // The first wins: a second realm in one challenge is an attempt to confuse somebody.
        if (!Object.hasOwn(last.parameters, name)) last.parameters[name] = value
        continue
      }
    }
    const scheme = match(TOKEN)
    if (!scheme) {
      at += 1
      continue
    }
    found.push({ scheme: scheme[0].toLowerCase(), parameters: Object.create(null) })
    skipToken68()
  }
  return found

  /** `Negotiate YII=`: one opaque word behind the scheme, which no scheme that we speak has. */
  function skipToken68(): void {
    const before = at
    match(SEPARATORS)
    if (text.slice(before, at).includes(',')) return
    match(TOKEN68)
  }
}
