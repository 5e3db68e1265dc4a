// Reads a tree by its declaration: the effective value, and everything that is wrong or strange, all at once.
import { isTreeList, isTreeMap, type Tree, type TreeMap } from '../yaml-tree.ts'
import type { Foreign, Node, ReadContext, Section, ValueOf } from './node.ts'

export interface Reading<T> {
  /** Defaults stand where something is wrong: use it only without problems. */
  readonly value: T
  /** Each has the path it speaks of: "http.addr", and what completes it: "must be ...". */
  readonly problems: readonly Remark[]
  /** Known keys that have no effect here and say so. */
  readonly warnings: readonly Remark[]
  /** Keys that no declaration knows. */
  readonly strays: readonly string[]
}

export interface Remark {
  readonly path: string
  readonly text: string
}

interface Notes {
  readonly problems: Remark[]
  readonly warnings: Remark[]
  readonly strays: string[]
}

export function readSettings<N>(node: N & Node, tree: Tree, context: ReadContext): Reading<ValueOf<N>> {
  const notes: Notes = { problems: [], warnings: [], strays: [] }
  const value = readNode(node, tree, '', context, notes) as ValueOf<N>
  return { value, ...notes }
}

function readNode(
  node: Node,
  tree: Tree | undefined,
  at: string,
  context: ReadContext,
  notes: Notes,
): unknown {
  switch (node.kind) {
    case 'setting': {
      // Nothing there, or nothing written (`addr:`), is Go's zero value, and that is the default.
      if (tree === undefined || tree === null) return node.initial
      if (typeof tree !== 'string') return refuse(notes, at, 'must be a single value', node.initial)
      if (tree === '' && node.initial !== '') return node.initial
      try {
        return node.read(tree, context)
      } catch (error) {
        return refuse(notes, at, error instanceof Error ? error.message : String(error), node.initial)
      }
    }
    case 'section':
      return readSection(node, tree, at, context, notes)
    case 'list': {
      if (tree === undefined || tree === null) return node.initial
      if (isTreeMap(tree)) return refuse(notes, at, 'must be a list', node.initial)
      if (typeof tree === 'string' && node.item.kind !== 'setting')
        return refuse(notes, at, 'must be a list', [])
      const items = isTreeList(tree) ? tree : [tree]
      return items
        .filter((item) => item !== null)
        .map((item, index) => readNode(node.item, item, `${at}[${index}]`, context, notes))
        .filter((item) => item !== undefined)
    }
    case 'map': {
      if (tree === undefined || tree === null) return {}
      if (!isTreeMap(tree)) return refuse(notes, at, 'must be a mapping of keys', {})
      const entries = Object.entries(tree)
        .filter(([, item]) => item !== null)
        .map(([key, item]) => [key, readNode(node.item, item, below(at, key), context, notes)] as const)
      return Object.fromEntries(entries.filter(([, item]) => item !== undefined))
    }
    case 'foreign':
      return undefined
  }
}

function readSection(
  node: Section,
  tree: Tree | undefined,
  at: string,
  context: ReadContext,
  notes: Notes,
): Record<string, unknown> | undefined {
  if (node.optional && (tree === undefined || tree === null)) return undefined
  const named = node.choice && typeof tree === 'string' && tree !== '' ? { [tree]: {} } : (tree ?? {})
  if (!isTreeMap(named))
    return refuse(notes, at, 'must be a mapping of keys', readSection(node, {}, at, context, notes))
  const value: Record<string, unknown> = {}
  for (const [key, child] of Object.entries(node.keys)) {
    const path = below(at, key)
    const here = Object.hasOwn(named, key) ? presence(node, child, named[key]) : undefined
    if (child.kind === 'foreign') {
      lookAt(child, here, path, notes)
      continue
    }
    const read = readNode(child, here, path, context, notes)
    if (read !== undefined) value[child.kind === 'setting' ? key + child.unit : key] = read
  }
  for (const key of Object.keys(named)) {
    if (!Object.hasOwn(node.keys, key)) notes.strays.push(below(at, key))
  }
  return value
}

/** `storage: { inmemory: }` chooses the driver as much as `{ inmemory: {} }` does. */
function presence(parent: Section, child: Node, tree: Tree | undefined): Tree | undefined {
  const chosen = parent.choice && tree === null
  const counts =
    (child.kind === 'section' && child.optional) || (child.kind === 'foreign' && child.status === 'stops')
  return chosen && counts ? {} : tree
}

function lookAt(node: Foreign, tree: Tree | undefined, at: string, notes: Notes): void {
  if (tree === undefined || tree === null) return
  if (node.status === 'warns' && !node.silent) notes.warnings.push({ path: at, text: node.about })
  if (node.status === 'stops' && !node.silent) notes.problems.push({ path: at, text: node.about })
  if (node.keys !== undefined) strayBelow(node.keys, tree, at, notes)
}

function strayBelow(keys: Readonly<Record<string, Foreign>>, tree: Tree, at: string, notes: Notes): void {
  if (isTreeList(tree)) {
    for (const [index, item] of tree.entries()) strayBelow(keys, item, `${at}[${index}]`, notes)
    return
  }
  if (!isTreeMap(tree)) return
  for (const [key, item] of Object.entries(tree as TreeMap)) {
    const child = Object.hasOwn(keys, key) ? keys[key] : undefined
    if (child === undefined) notes.strays.push(below(at, key))
    else lookAt(child, item, below(at, key), notes)
  }
}

function below(at: string, key: string): string {
  return at === '' ? key : `${at}.${key}`
}

function refuse<T>(notes: Notes, path: string, text: string, instead: T): T {
  notes.problems.push({ path, text })
  return instead
}
