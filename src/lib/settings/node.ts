// A tree of settings, declared once: how each is read and written, its default, and what it is for. Reading a file, the
// environment, the reference and the printed result all follow this one declaration.

/** works: has an effect. ignored: accepted and without effect here. warns: the same, said aloud. stops: refused. */
export type Status = 'works' | 'ignored' | 'warns' | 'stops'

export interface ReadContext {
  /** Relative paths start here. */
  readonly cwd: string
}

/** One value. `Unit` ends its name in the effective configuration: `draintimeout` becomes `draintimeoutMs`. */
export interface Setting<T, Unit extends string = ''> {
  readonly kind: 'setting'
  /** For people: `duration`, `true or false`. */
  readonly type: string
  readonly unit: Unit
  readonly about: string
  readonly initial: T
  readonly secret: boolean
  readonly status: 'works' | 'ignored'
  /** @throws Error whose message completes "http.addr ..." */
  read(text: string, context: ReadContext): T
  /** As it is written in a file. */
  write(value: T): string
}

export type Nodes = Readonly<Record<string, Node>>

export interface Section<Keys extends Nodes = Nodes, Optional extends boolean = boolean> {
  readonly kind: 'section'
  readonly keys: Keys
  readonly about: string
  /** True: absent unless the file names it. */
  readonly optional: Optional
  /** Exactly one of its optional sections is meant; a bare word names it; a strange key is a mistake, not a whim. */
  readonly choice: boolean
  /** registry:2's field name for a variable, where it is not the key: FILECHECKERS for `file`. */
  readonly fieldNames: Readonly<Record<string, string>>
}

export interface ListOf<Item extends Node = Node> {
  readonly kind: 'list'
  readonly item: Item
  readonly about: string
  readonly initial: readonly unknown[]
}

/** Keys are the user's. */
export interface MapOf<Item extends Node = Node> {
  readonly kind: 'map'
  readonly item: Item
  readonly about: string
}

/** What registry:2 knows and Stowage has no use for. It leaves no trace in the effective configuration. */
export interface Foreign {
  readonly kind: 'foreign'
  readonly status: Status
  readonly type: 'anything' | 'section' | 'list'
  readonly about: string
  /** True: its mere presence says nothing; who knows the conditions judges it. */
  readonly silent: boolean
  /** Known keys below, for a list those of each entry; undefined when anything goes. */
  readonly keys: Readonly<Record<string, Foreign>> | undefined
  readonly fieldNames: Readonly<Record<string, string>>
}

export type Node =
  | Setting<unknown, string>
  | Section<Nodes, boolean>
  | {
      readonly kind: 'list'
      readonly item: Node
      readonly about: string
      readonly initial: readonly unknown[]
    }
  | { readonly kind: 'map'; readonly item: Node; readonly about: string }
  | Foreign

type NamedWithUnit<Key extends string, N> = N extends Foreign
  ? never
  : N extends Setting<unknown, infer Unit>
    ? `${Key}${Unit}`
    : Key

type Values<Keys> = {
  readonly [Key in keyof Keys & string as NamedWithUnit<Key, Keys[Key]>]: ValueOf<Keys[Key]>
}

/** The effective value of a node. */
export type ValueOf<N> =
  N extends Setting<infer T, string>
    ? T
    : N extends Section<infer Keys, infer Optional>
      ? true extends Optional
        ? Values<Keys> | undefined
        : Values<Keys>
      : N extends { readonly kind: 'list'; readonly item: infer Item }
        ? readonly NonNullable<ValueOf<Item>>[]
        : N extends { readonly kind: 'map'; readonly item: infer Item }
          ? Readonly<Record<string, NonNullable<ValueOf<Item>>>>
          : never

export function section<const Keys extends Nodes>(
  about: string,
  keys: Keys,
  options: { readonly choice?: boolean; readonly fieldNames?: Readonly<Record<string, string>> } = {},
): Section<Keys, false> {
  return {
    kind: 'section',
    keys,
    about,
    optional: false,
    choice: options.choice ?? false,
    fieldNames: options.fieldNames ?? {},
  }
}

export function optionalSection<const Keys extends Nodes>(about: string, keys: Keys): Section<Keys, true> {
  return { kind: 'section', keys, about, optional: true, choice: false, fieldNames: {} }
}

export function listOf<Item extends Node>(
  about: string,
  item: Item,
  initial: readonly (Item extends Setting<infer T, string> ? T : never)[] = [],
): ListOf<Item> {
  return { kind: 'list', item, about, initial }
}

export function mapOf<Item extends Node>(about: string, item: Item): MapOf<Item> {
  return { kind: 'map', item, about }
}

export function foreign(
  status: Status,
  about: string,
  keys?: readonly string[] | Readonly<Record<string, Foreign>>,
  options: {
    readonly list?: boolean
    readonly silent?: boolean
    readonly fieldNames?: Readonly<Record<string, string>>
  } = {},
): Foreign {
  const named = isNames(keys) ? Object.fromEntries(keys.map((key) => [key, foreign(status, '')])) : keys
  const type = options.list === true ? 'list' : keys ? 'section' : 'anything'
  return {
    kind: 'foreign',
    status,
    type,
    about,
    silent: options.silent ?? about === '',
    keys: named,
    fieldNames: options.fieldNames ?? {},
  }
}

function isNames(
  keys: readonly string[] | Readonly<Record<string, Foreign>> | undefined,
): keys is readonly string[] {
  return Array.isArray(keys)
}
