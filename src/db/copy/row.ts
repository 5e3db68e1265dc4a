// A row while it is copied: values that mean the same on every engine.
import type { ColumnKind, TableOutline } from '#db/copy/outline.ts'

export type Value = null | bigint | number | string | Uint8Array
/** In the order of the columns of the outline. */
export type Row = readonly Value[]

const MEANS: Readonly<Record<ColumnKind, (value: Value) => boolean>> = {
  integer: (value) => typeof value === 'bigint',
  real: (value) => typeof value === 'number',
  text: (value) => typeof value === 'string' && !value.includes('\0'),
  bytes: (value) => value instanceof Uint8Array,
}

/** @throws Error that names the row, when a value is not what its column is for: no other engine would keep it */
export function checkRow({ name, columns, key }: TableOutline, row: Row): Row {
  columns.forEach((column, place) => {
    const value = row[place] ?? null
    if (value === null || MEANS[column.kind](value)) return
    const where = key.map((at) => String(row[at])).join(', ')
    throw new Error(
      `${name}.${column.name} of the row ${where} is not ${KIND_NAMES[column.kind]}: correct it before the copy`,
    )
  })
  return row
}

const KIND_NAMES: Readonly<Record<ColumnKind, string>> = {
  integer: 'a whole number',
  real: 'a number',
  text: 'text without NUL',
  bytes: 'bytes',
}

export function keyOf({ key }: TableOutline, row: Row): Row {
  return key.map((place) => row[place] ?? null)
}

/** The same text for the same row, whichever engine it comes from; no two rows have the same. */
export function rowText(row: Row): string {
  return `${row.map(valueText).join(',')}\n`
}

function valueText(value: Value): string {
  if (value === null) return '-'
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return `r${value}`
  return `b${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`
}
