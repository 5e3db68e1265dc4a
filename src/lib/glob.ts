// Patterns for names with slashes: `*` and `?` stay within a part, `**` crosses parts.

/** A character, any character but a slash, any number of those, or any number of any characters. */
type Token =
  | { readonly kind: 'character'; readonly value: string }
  | { readonly kind: 'one' | 'some' | 'all' }

/**
 * Whether a whole name matches; a pattern without special characters matches itself alone. Takes at most
 * pattern.length * name.length steps, whatever both are.
 */
export function globMatcher(pattern: string): (name: string) => boolean {
  const tokens = tokensOf(pattern)
  const [first] = tokens
  if (tokens.length === 1 && first?.kind === 'all') return () => true
  if (tokens.every(({ kind }) => kind === 'character')) return (name) => name === pattern
  return (name) => matches(tokens, name)
}

export function matchesGlob(pattern: string, name: string): boolean {
  return globMatcher(pattern)(name)
}

function tokensOf(pattern: string): Token[] {
  return (pattern.match(/\*\*+|./gsu) ?? []).map((part): Token => {
    if (part.startsWith('**')) return { kind: 'all' }
    if (part === '*') return { kind: 'some' }
    return part === '?' ? { kind: 'one' } : { kind: 'character', value: part }
  })
}

/** Follows all ways at once: `open[i]` says whether the first i tokens can stand for what was read so far. */
function matches(tokens: readonly Token[], name: string): boolean {
  let open = new Array<boolean>(tokens.length + 1).fill(false)
  open[0] = true
  passEmpty(tokens, open)
  for (const character of name) {
    const next = new Array<boolean>(tokens.length + 1).fill(false)
    let isAlive = false
    for (const [at, token] of tokens.entries()) {
      if (!open[at] || !takes(token, character)) continue
      isAlive = true
      next[token.kind === 'some' || token.kind === 'all' ? at : at + 1] = true
    }
    if (!isAlive) return false
    passEmpty(tokens, next)
    open = next
  }
  return open[tokens.length] === true
}

function takes(token: Token, character: string): boolean {
  if (token.kind === 'all') return true
  return token.kind === 'character' ? token.value === character : character !== '/'
}

function passEmpty(tokens: readonly Token[], open: boolean[]): void {
  for (const [at, { kind }] of tokens.entries())
    if (open[at] && (kind === 'some' || kind === 'all')) open[at + 1] = true
}
