// What schemas of the management API are made of. Unknown members of a body are refused: nobody sets what he does not see.
import { z } from 'zod'
import { PASSWORD_CHARS_MAX } from '#access/passwords/passwords.ts'
import { REPOSITORY_NAME_LENGTH_MAX } from '#oci/reference.ts'

const NAME_CHARS_MAX = 64
export const TEXT_CHARS_MAX = 255
const FILTER_CHARS_MAX = 512

export const name = z.string().min(1).max(NAME_CHARS_MAX)
export const text = z.string().max(TEXT_CHARS_MAX)
export const password = z.string().max(PASSWORD_CHARS_MAX)
export const time = z.iso.datetime()
export const version = z.int().min(1)
/** Taken as text, used as milliseconds since 1970. */
export const when = z.iso.datetime({ offset: true }).transform((at) => Date.parse(at))

/** Of things or bytes. */
export const count = z.int().min(0)
export const repositoryName = z.string().max(REPOSITORY_NAME_LENGTH_MAX)

/** What a filter compares with. */
export const filterText = z.string().min(1).max(FILTER_CHARS_MAX)

export const justName = z.strictObject({ name })

export const problem = z.object({
  type: text,
  title: text,
  status: z.int(),
  detail: z.string(),
  findings: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
})

export function listOf(item: z.ZodType): z.ZodType {
  return z.object({ items: z.array(item) })
}
