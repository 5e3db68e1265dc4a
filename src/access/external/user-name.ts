// A name for somebody whom a provider calls otherwise: it must be one of ours, and free.
import { createHash } from 'node:crypto'

const NAME_CHARS_MAX = 48
const NUMBERED_MAX = 9

/** The wish as near as our names come: of an address of mail what stands before the `@`. */
export function nameNear(wish: string): string {
  const plain = wish
    .normalize('NFKD')
    .toLowerCase()
    .replace(/^([^@]+)@.*$/s, '$1')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replaceAll(/[._-]{2,}/g, '-')
    .slice(0, NAME_CHARS_MAX)
    .replaceAll(/^[._-]+|[._-]+$/g, '')
  return plain === '' ? 'user' : plain
}

/** `ann`, `ann-2` to `ann-9`, then one that nobody else can have. */
export function* nameCandidates(wish: string, issuer: string, subject: string): Generator<string> {
  const base = nameNear(wish)
  yield base
  for (let n = 2; n <= NUMBERED_MAX; n++) yield `${base}-${n}`
  const hash = createHash('sha256').update(`${issuer}\n${subject}`).digest('hex')
  yield `${base.slice(0, NAME_CHARS_MAX - 16)}-${hash.slice(0, 16)}`
}
