// Looks at the member names of a JSON text, which JSON.parse forgets: of two members with one name it keeps the last, while
// another reader may keep the first, so the two would not mean the same document (RFC 8259 section 4).

/** Objects and arrays that may stand within each other. */
export const JSON_DEPTH_MAX = 200
/** Repeated names that are told one by one; a text that holds more is refused all the same. */
export const JSON_REPEATS_MAX = 50
/** Characters of one name that a pointer shows. */
export const POINTER_PART_CHARS_MAX = 100

export interface JsonMembers {
  /** JSON pointers (RFC 6901) to members whose name stands twice in one object, in order, at most JSON_REPEATS_MAX. */
  readonly repeated: readonly string[]
  /** Names of the outermost object, in order, each once. */
  readonly topLevel: readonly string[]
  /** True when the text nests deeper than JSON_DEPTH_MAX; what lies below was not looked at. */
  readonly tooDeep: boolean
}

interface Open {
  /** Names seen, for an object; undefined for an array. */
  readonly names: Set<string> | undefined
  /** The member or element that is being read. */
  name: string
  index: number
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Collects member names in one pass without recursion, in time linear to the text.
 * @param text a JSON text that JSON.parse has accepted
 */
export function jsonMembers(text: string): JsonMembers {
  const repeated: string[] = []
  const open: Open[] = []
  let topLevel: readonly string[] = []
  let at = 0
  while (at < text.length) {
    const code = text.charCodeAt(at)
    const inner = open.at(-1)
    if (code === QUOTE) {
      const end = endOfString(text, at)
      const colon = inner?.names ? afterSpace(text, end) : -1
      if (inner?.names && text[colon] === ':') {
        inner.name = decode(text.slice(at, end))
        if (inner.names.has(inner.name)) {
          if (repeated.length < JSON_REPEATS_MAX) repeated.push(pointer(open))
        } else inner.names.add(inner.name)
      }
      at = end
      continue
    }
    if (code === 0x7b || code === 0x5b) {
      if (open.length === JSON_DEPTH_MAX) return { repeated, topLevel: namesOf(open[0]), tooDeep: true }
      open.push({ names: code === 0x7b ? new Set() : undefined, name: '', index: 0 })
    } else if (code === 0x7d || code === 0x5d) {
      const closed = open.pop()
      if (open.length === 0) topLevel = namesOf(closed)
    } else if (code === 0x2c && inner) inner.index++
    at++
  }
  return { repeated, topLevel, tooDeep: false }
}

/**
 * Names that differ from a known one only in the case of letters. Go readers match names without case, so `Layers` means
 * `layers` to them and nothing to others: one document, two meanings (CVE-2021-41190).
 */
export function caseVariants(
  names: readonly string[],
  known: readonly string[],
): { readonly name: string; readonly known: string }[] {
  const byFolded = new Map(known.map((name) => [fold(name), name]))
  const variants: { name: string; known: string }[] = []
  for (const name of names) {
    const match = byFolded.get(fold(name))
    if (match !== undefined && match !== name) variants.push({ name, known: match })
  }
  return variants
}

/** Go's folding: also the long s (U+017F) is an s; toLowerCase already makes the Kelvin sign (U+212A) a k. */
function fold(name: string): string {
  return name.replaceAll('\u017f', 's').toLowerCase()
}

function namesOf(open: Open | undefined): readonly string[] {
  return [...(open?.names ?? [])]
}

/** The index behind the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === BACKSLASH) at++
    else if (code === QUOTE) return at + 1
  }
  return at
}

function afterSpace(text: string, start: number): number {
  let at = start
  while (at < text.length && ' \t\n\r'.includes(text.charAt(at))) at++
  return at
}

function decode(literal: string): string {
  return literal.includes('\\') ? String(JSON.parse(literal)) : literal.slice(1, -1)
}

function pointer(open: readonly Open[]): string {
  return open.map(({ names, name, index }) => (names ? pointerPart(name) : `/${index}`)).join('')
}

/** One step of a JSON pointer. A name of megabytes is cut: the path is for a person. */
export function pointerPart(name: string): string {
  return `/${name.slice(0, POINTER_PART_CHARS_MAX).replaceAll('~', '~0').replaceAll('/', '~1')}`
}
