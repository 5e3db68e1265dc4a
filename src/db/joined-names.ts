// A page of names as one value: the engine joins them at a fraction of what a row object for each would cost.
// Names of repositories and tags never hold a comma.
import { type RawBuilder, sql } from 'kysely'

/** Selects the column `name` of the rows, joined in no order: sorting there costs more than all the rest. */
export const joinedNames = (): ReturnType<RawBuilder<string | null>['as']> =>
  sql<string | null>`string_agg(name, ',')`.as('names')

/** In byte order: names are ASCII, so that is the order of JavaScript's own sort. */
export function splitNames(row: { names?: unknown } | undefined): string[] {
  return typeof row?.names === 'string' ? row.names.split(',').sort() : []
}
