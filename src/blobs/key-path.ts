// What every KeyStore holds a path and a text to.

/** A link is one digest; more than this is none. */
export const KEY_BYTES_MAX = 4096

/**
 * The path as it came, when every part may name a file below the root.
 * @throws when a part is "", "." or "..", or holds NUL or a backslash: such a path was not made from parsed values
 */
export function checkKeyPath(path: string): string {
  for (const part of path.split('/')) {
    if (part === '' || part === '.' || part === '..' || part.includes('\0') || part.includes('\\'))
      throw new Error(`not a key path: ${JSON.stringify(path.slice(0, 300))}`)
  }
  return path
}

/** The text as bytes. @throws when they are more than could be read back */
export function keyBytes(text: string): Buffer {
  const bytes = Buffer.from(text)
  if (bytes.length > KEY_BYTES_MAX) throw new Error(`a key holds ${KEY_BYTES_MAX} bytes, not ${bytes.length}`)
  return bytes
}
