// Where a page of a list goes on, as text that means nothing to whoever passes it on.
import { z } from 'zod'
import { Refusal } from '#access/management/refusal.ts'

export function cursorText(place: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url')
}

/** Undefined for the first page. @throws Refusal invalid for what no link of ours says */
export function cursorFrom<Place>(text: string, place: z.ZodType<Place>): Place | undefined {
  if (text === '') return undefined
  try {
    return place.parse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')))
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof z.ZodError)) throw error
    throw new Refusal('invalid', 'after must be what the link to this page says')
  }
}

/** `-size` is by size, the largest first. */
export function orderOf<Sort extends string>(sort: Sort | `-${Sort}`) {
  const isDescending = sort.startsWith('-')
  return { sort: (isDescending ? sort.slice(1) : sort) as Sort, isDescending }
}

/** Each of them, and each the other way round. */
export function sortsOf<Sort extends string>(sorts: readonly Sort[]): z.ZodType<Sort | `-${Sort}`> {
  return z.enum(sorts.flatMap((sort) => [sort, `-${sort}`])) as unknown as z.ZodType<Sort | `-${Sort}`>
}
