// YAML as a tree of texts. What a text means (number, boolean, duration) is decided where its type is known, so that
// `secret: 0123` and `version: 0.10` keep their spelling, as they do in Go.
import { isMap, isScalar, LineCounter, parseDocument, visit } from 'yaml'

/** A plain scalar keeps its text; `~`, `null` and nothing at all are null. */
export type Tree = string | null | readonly Tree[] | { readonly [key: string]: Tree }

export type TreeMap = { readonly [key: string]: Tree }

/** Uses of aliases after expansion: enough for any file that a person wrote, far too few for a "billion laughs". */
const ALIAS_USES_MAX = 100

/** What is wrong and in which line. Never quotes the text: it may hold a secret. */
export class YamlError extends Error {
  override readonly name = 'YamlError'
}

export interface YamlTree {
  readonly tree: Tree
  /** `addr (line 12)` for each key that its mapping names again; the last one counts, as in Go. */
  readonly repeated: readonly string[]
}

export function isTreeMap(tree: Tree | undefined): tree is TreeMap {
  return typeof tree === 'object' && tree !== null && !Array.isArray(tree)
}

export function isTreeList(tree: Tree | undefined): tree is readonly Tree[] {
  return Array.isArray(tree)
}

/** @throws YamlError */
export function parseYamlTree(text: string): YamlTree {
  const lines = new LineCounter()
  try {
    const document = parseDocument(text, {
      schema: 'failsafe',
      customTags: ['null', 'merge'],
      merge: true,
      uniqueKeys: false,
      stringKeys: true,
      prettyErrors: false,
      lineCounter: lines,
    })
    const [error] = document.errors
    if (error) throw new YamlError(`line ${lines.linePos(error.pos[0]).line}: ${error.message}`)
    const repeated: string[] = []
    visit(document, {
      Map(_, map) {
        const seen = new Set<unknown>()
        for (const { key } of map.items) {
          const name = isScalar(key) ? key.value : key
          if (seen.has(name) && isScalar(key)) {
            repeated.push(`${name} (line ${lines.linePos(key.range?.[0] ?? 0).line})`)
          }
          seen.add(name)
        }
      },
    })
    if (isMap(document.contents) && document.contents.items.length === 0) return { tree: {}, repeated }
    return { tree: copied(document.toJS({ maxAliasCount: ALIAS_USES_MAX })), repeated }
  } catch (error) {
    if (error instanceof YamlError) throw error
    if (error instanceof RangeError) throw new YamlError('it is nested too deeply', { cause: error })
    if (error instanceof ReferenceError) throw new YamlError('its aliases expand too far', { cause: error })
    throw error
  }
}

/** An alias gives the same object twice: copies, so that changing one leaves the other. */
function copied(value: unknown): Tree {
  if (value === null || value === undefined) return null
  if (Array.isArray(value)) return value.map(copied)
  if (typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copied(item)]))
  }
  return String(value)
}
