// What a declaration says about itself: every key with its type, default and purpose, and the shape that a walk follows.
import type { Field, Shape } from '../environment-override.ts'
import type { Foreign, Node, Status } from './node.ts'

export interface OutlineRow {
  /** `http.tls.certificate`; an entry of a list is `[n]`, a key of the user's `<name>`. */
  readonly path: string
  readonly type: string
  /** As written in a file; empty for none. */
  readonly initial: string
  /** The variable, prefix included: `REGISTRY_HTTP_TLS_CERTIFICATE`. */
  readonly variable: string
  readonly status: Status
  readonly about: string
}

type Place = { readonly path: string; readonly variable: string }

/** Every key that can be written, sections left out where they are only a place for keys. */
export function outline(root: Node, prefix: string): OutlineRow[] {
  return rowsOf(root, { path: '', variable: prefix.replace(/_$/, '') })
}

function rowsOf(node: Node, place: Place): OutlineRow[] {
  const { about } = node
  switch (node.kind) {
    case 'setting': {
      const initial = node.initial === undefined ? '' : node.write(node.initial)
      return [{ ...place, type: node.type, initial, status: node.status, about }]
    }
    case 'section': {
      const own: OutlineRow = { ...place, type: 'section', initial: '', status: 'works', about }
      const keys = Object.entries(node.keys).flatMap(([key, child]) =>
        rowsOf(child, step(place, key, node.fieldNames[key])),
      )
      return node.optional ? [own, ...keys] : keys
    }
    case 'list': {
      const item = node.item
      if (item.kind === 'setting') {
        const initial =
          node.initial.length === 0 ? '' : `[${node.initial.map((one) => item.write(one)).join(', ')}]`
        return [{ ...place, type: `list of ${item.type}`, initial, status: item.status, about }]
      }
      return [
        { ...place, type: 'list', initial: '', status: 'works', about },
        ...rowsOf(item, entryOf(place)),
      ]
    }
    case 'map': {
      const type = node.item.kind === 'list' ? 'mapping to lists' : 'mapping'
      return [{ ...place, type, initial: '', status: 'works', about }]
    }
    case 'foreign':
      return [
        { ...place, type: node.type, initial: '', status: node.status, about },
        ...Object.entries(node.keys ?? {}).flatMap(([key, child]) =>
          rowsOf(child, step(node.type === 'list' ? entryOf(place) : place, key, node.fieldNames[key])),
        ),
      ]
  }
}

function step({ path, variable }: Place, key: string, fieldName = key): Place {
  return { path: path === '' ? key : `${path}.${key}`, variable: `${variable}_${fieldName.toUpperCase()}` }
}

function entryOf({ path, variable }: Place): Place {
  return { path: `${path}[n]`, variable: `${variable}_<n>` }
}

/** The shape by which a variable finds its way. A choice (`storage`, `auth`) is a map, as it is in registry:2. */
export function shapeOf(node: Node): Shape {
  switch (node.kind) {
    case 'setting':
      return { kind: 'value' }
    case 'list':
      return { kind: 'list', item: shapeOf(node.item) }
    case 'map':
      return { kind: 'map', item: shapeOf(node.item) }
    case 'section':
      if (node.choice) return { kind: 'map', item: { kind: 'any' }, shorthand: true }
      return { kind: 'struct', fields: fieldsOf(node.keys, node.fieldNames) }
    case 'foreign':
      return node.keys === undefined || Object.keys(node.keys).length === 0
        ? { kind: 'any' }
        : foreignShape(node)
  }
}

function foreignShape(node: Foreign): Shape {
  const struct: Shape = { kind: 'struct', fields: fieldsOf(node.keys ?? {}, node.fieldNames) }
  return node.type === 'list' ? { kind: 'list', item: struct } : struct
}

function fieldsOf(
  keys: Readonly<Record<string, Node>>,
  fieldNames: Readonly<Record<string, string>>,
): ReadonlyMap<string, Field> {
  const fields = new Map<string, Field>()
  for (const [key, child] of Object.entries(keys)) {
    const field = { key, shape: shapeOf(child) }
    fields.set(key.toUpperCase(), field)
    const other = fieldNames[key]
    if (other !== undefined) fields.set(other.toUpperCase(), field)
  }
  return fields
}
