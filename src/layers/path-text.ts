// File names are bytes; we carry them as text. UTF-8 names are themselves; in any other name each byte above 0x7f stands
// as a lone surrogate U+DC80..U+DCFF (Python's "surrogateescape"), so that every name comes back byte for byte.
import { isUtf8 } from 'node:buffer'

const ESCAPE = 0xdc00
const LONE = /(?<![\ud800-\udbff])[\udc80-\udcff]/

export function textOfBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (isUtf8(buffer)) return buffer.toString('utf8')
  let text = ''
  for (const byte of buffer) text += String.fromCharCode(byte < 0x80 ? byte : ESCAPE + byte)
  return text
}

export function bytesOfText(text: string): Buffer {
  if (!LONE.test(text)) return Buffer.from(text, 'utf8')
  const pieces: Buffer[] = []
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    const escaped = code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff
    pieces.push(escaped ? Buffer.from([code - ESCAPE]) : Buffer.from(character, 'utf8'))
  }
  return Buffer.concat(pieces)
}

/** A path as Node's file functions take it: text where it is UTF-8, bytes where it is not. */
export function diskPath(text: string): string | Buffer {
  return LONE.test(text) ? bytesOfText(text) : text
}

/** True when a program can be given this path as an argument: Node passes arguments as UTF-8 text only. */
export function isPlainText(text: string): boolean {
  return !LONE.test(text)
}
