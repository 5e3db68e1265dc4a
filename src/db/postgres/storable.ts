// Text that PostgreSQL can hold: all but NUL. Nothing that we keep has one; what a client asks for may, and is not found.

/** As small as NUL in any order, and in no name either. */
const INSTEAD = '\u0001'

export function storable(value: unknown): unknown {
  return typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', INSTEAD) : value
}

/** JSON whose strings can become text. */
export function asStorableJson(value: unknown): string {
  const json = JSON.stringify(value)
  return json.includes('\\u0000') ? JSON.stringify(value, (_, inner) => storable(inner)) : json
}
