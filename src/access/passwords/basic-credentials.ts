// The credentials of an Authorization header of scheme Basic (RFC 7617), UTF-8.
import { isUtf8 } from 'node:buffer'

/** Longer headers are refused unread. */
export const AUTHORIZATION_CHARS_MAX = 8192

export interface Credentials {
  readonly user: string
  /** Everything behind the first colon, further colons included. */
  readonly password: string
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 7617 forbids them, and bcrypt would stop at a NUL
const CONTROL = /[\u0000-\u001f\u007f]/

/** Undefined for another scheme and for whatever is not well-formed. */
export function parseBasic(authorization: string): Credentials | undefined {
  if (authorization.length > AUTHORIZATION_CHARS_MAX) return undefined
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(authorization)?.[1]
  if (encoded === undefined) return undefined
  const bytes = Buffer.from(encoded, 'base64')
  if (!isUtf8(bytes)) return undefined
  const text = bytes.toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 1 || hasControls(text)) return undefined
  return { user: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** What no name and no password may hold. */
export function hasControls(text: string): boolean {
  return CONTROL.test(text)
}
