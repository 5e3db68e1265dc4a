// What somebody probably meant by a key or a variable that nothing knows.
import { nearest } from '#lib/nearest.ts'
import { type OutlineRow, outline } from '#lib/settings/outline.ts'
import { NOT_OVERRIDES, PREFIX } from './environment.ts'
import { SCHEMA } from './schema.ts'

/** Every key that a configuration may have, in the order of the schema. */
export function knownKeys(): OutlineRow[] {
  return outline(SCHEMA, PREFIX).map((row) =>
    NOT_OVERRIDES.has(row.variable) ? { ...row, variable: '' } : row,
  )
}

/** The known path nearest to an unknown one: a neighbour with a similar name, or the same name elsewhere. */
export function keySuggestion(stray: string): string | undefined {
  const path = stray.replaceAll(/\[\d+\]/g, '[n]')
  const cut = path.lastIndexOf('.')
  const parent = cut < 0 ? '' : path.slice(0, cut + 1)
  const name = path.slice(cut + 1)
  const paths = new Set(knownKeys().flatMap((row) => withParents(row.path)))
  const neighbours = [...paths].filter((one) => one.startsWith(parent)).map((one) => one.slice(parent.length))
  const neighbour = nearest(
    name,
    neighbours.filter((one) => !/[.[]/.test(one)),
  )
  if (neighbour !== undefined) return stray.slice(0, stray.length - name.length) + neighbour
  const elsewhere = [...paths].filter((one) => one.endsWith(`.${name}`))
  return elsewhere.length === 1 ? elsewhere[0] : undefined
}

/** The known variable nearest to an unknown one; an index of a list is written `<n>`. */
export function variableSuggestion(name: string): string | undefined {
  const word = name.slice(PREFIX.length).replaceAll(/(?<=_)\d+(?=_|$)/g, '<n>')
  const near = nearest(
    word,
    knownKeys().map((row) => row.variable.slice(PREFIX.length)),
  )
  return near === undefined ? undefined : PREFIX + near
}

function withParents(path: string): string[] {
  const steps = path.split('.')
  return steps.map((_, index) => steps.slice(0, index + 1).join('.'))
}
