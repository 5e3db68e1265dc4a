// Where a browser goes after a login: a path of our own, whatever it was told (zot, CVE-2024-22244).

export const RETURN_CHARS_MAX = 1_024

/** Undefined for what could lead elsewhere. */
export function parseReturnPath(text: string): string | undefined {
  if (text.length > RETURN_CHARS_MAX || !/^\/(?![/\\])[\x21-\x7e]*$/.test(text) || text.includes('\\'))
    return undefined
  // As a browser will read it.
  const own = 'http://own.invalid'
  return URL.parse(text, own)?.origin === own ? text : undefined
}
