// Environment variables that replace parts of a configuration, by the rules of registry:2 (configuration/parser.go):
//
//   1. names that begin with the prefix, sorted, so that a parent is applied before its children;
//   2. the rest of the name, split on `_`, walks the tree without regard to case: a struct by field, a map by key (one
//      that is there, or else a new one in lower case), a list by index (its length appends);
//   3. the last step replaces what stands there with the value, read as YAML.
//
// A key that contains `_` cannot be reached. Where registry:2 walks into a nested map of unknown types it gives up or
// makes a map that it then refuses (REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED); here the walk goes on.
import { isTreeList, isTreeMap, parseYamlTree, type Tree, type TreeMap, YamlError } from './yaml-tree.ts'

export type Shape =
  | { readonly kind: 'value' }
  /** Whatever the tree holds there decides. */
  | { readonly kind: 'any' }
  | { readonly kind: 'list'; readonly item: Shape }
  /** Any key. `shorthand`: a bare word stands for a map with that one key (`auth: htpasswd`). */
  | { readonly kind: 'map'; readonly item: Shape; readonly shorthand?: boolean }
  /** Fields by the upper-case name that a variable uses. */
  | { readonly kind: 'struct'; readonly fields: ReadonlyMap<string, Field> }

export interface Field {
  readonly key: string
  readonly shape: Shape
}

export interface Overridden {
  readonly tree: Tree
  /** Variables whose name leads nowhere. */
  readonly ignored: readonly string[]
  /** Variables that lead somewhere and cannot be applied, one sentence each, without their value. */
  readonly problems: readonly string[]
  /** Which variable set a path such as `http.tls.certificate`. */
  readonly origins: ReadonlyMap<string, string>
}

class Refusal extends Error {}

/** Pure: the tree that is given stays as it is. */
export function overrideFromEnvironment(
  tree: Tree,
  shape: Shape,
  variables: Readonly<Record<string, string | undefined>>,
  prefix: string,
): Overridden {
  const ignored: string[] = []
  const problems: string[] = []
  const origins = new Map<string, string>()
  let result = tree
  for (const name of Object.keys(variables)
    .filter((key) => key.startsWith(prefix))
    .sort(byStep)) {
    const trail: string[] = []
    try {
      const steps = name.slice(prefix.length).split('_')
      const next = replaced(result, shape, steps, variables[name] ?? '', trail)
      if (next === undefined) {
        ignored.push(name)
        continue
      }
      result = next
      origins.set(trail.join('.'), name)
    } catch (error) {
      if (!(error instanceof Refusal || error instanceof YamlError)) throw error
      problems.push(
        error instanceof YamlError
          ? `${name} is not valid YAML: ${error.message}`
          : `${name} cannot be applied: ${error.message}`,
      )
    }
  }
  return { tree: result, ignored, problems, origins }
}

/** By name, step by step; indexes by number, so that entry 10 of a list is appended after entry 9. */
function byStep(left: string, right: string): number {
  const a = left.split('_')
  const b = right.split('_')
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    const [x = '', y = ''] = [a[index], b[index]]
    if (x === y) continue
    if (/^\d+$/.test(x) && /^\d+$/.test(y) && Number(x) !== Number(y)) return Number(x) - Number(y)
    return x < y ? -1 : 1
  }
  return a.length - b.length
}

/** The subtree with the value in place; undefined when the steps lead nowhere. Adds the keys walked to `trail`. */
function replaced(
  current: Tree | undefined,
  shape: Shape,
  steps: readonly string[],
  payload: string,
  trail: string[],
): Tree | undefined {
  const [step, ...rest] = steps
  if (step === undefined) return expandShorthand(parseYamlTree(payload).tree, shape)
  if (step === '') return undefined
  switch (shape.kind) {
    case 'value':
      return undefined
    case 'any':
      if (typeof current === 'string') return undefined
      return replaced(current, isTreeList(current) ? ANY_LIST : ANY_MAP, steps, payload, trail)
    case 'struct': {
      const field = shape.fields.get(step.toUpperCase())
      if (field === undefined) return undefined
      return withKey(mapping(current, shape, trail), field.key, field.shape, rest, payload, trail)
    }
    case 'map': {
      const map = mapping(current, shape, trail)
      const key = Object.keys(map).find((name) => name.toUpperCase() === step.toUpperCase())
      return withKey(map, key ?? step.toLowerCase(), shape.item, rest, payload, trail)
    }
    case 'list':
      return withEntry(current, shape.item, step, rest, payload, trail)
  }
}

const ANY: Shape = { kind: 'any' }
const ANY_MAP: Shape = { kind: 'map', item: ANY }
const ANY_LIST: Shape = { kind: 'list', item: ANY }

function withKey(
  map: TreeMap,
  key: string,
  shape: Shape,
  rest: readonly string[],
  payload: string,
  trail: string[],
): Tree | undefined {
  trail.push(key)
  const next = replaced(Object.hasOwn(map, key) ? map[key] : undefined, shape, rest, payload, trail)
  return next === undefined ? undefined : { ...map, [key]: next }
}

function withEntry(
  current: Tree | undefined,
  shape: Shape,
  step: string,
  rest: readonly string[],
  payload: string,
  trail: string[],
): Tree | undefined {
  const list = isTreeList(current) ? current : current === undefined || current === null ? [] : [current]
  const where = trail.join('.')
  if (!/^\d+$/.test(step))
    throw new Refusal(`${where} is a list, whose entries are named by number (0, 1, ...)`)
  const index = Number(step)
  if (index > list.length) {
    throw new Refusal(
      `${where} has ${list.length} ${list.length === 1 ? 'entry' : 'entries'}, and the next is number ${list.length}`,
    )
  }
  trail.push(step)
  const next = replaced(list[index], shape, rest, payload, trail)
  return next === undefined ? undefined : index === list.length ? [...list, next] : list.with(index, next)
}

function mapping(current: Tree | undefined, shape: Shape, trail: readonly string[]): TreeMap {
  if (current === undefined || current === null) return {}
  const expanded = expandShorthand(current, shape)
  if (isTreeMap(expanded)) return expanded
  throw new Refusal(`${trail.join('.')} is not a mapping of keys`)
}

/** `htpasswd` becomes `{ htpasswd: {} }` where the shape allows a bare word. */
export function expandShorthand(tree: Tree, shape: Shape): Tree {
  const isWord = shape.kind === 'map' && shape.shorthand === true && typeof tree === 'string' && tree !== ''
  return isWord ? { [tree]: {} } : tree
}
