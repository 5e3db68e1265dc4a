// One 512-byte tar header, and the pax records that may stand before it. Sources: POSIX.1-2001 pax; GNU tar's
// "Basic Tar Format". Where writers disagree we read as Go's archive/tar does, since container engines stand on it:
// a scanner that sees other files than the engine is a hole.
import { LayerError } from '#layers/layer-error.ts'
import { textOfBytes } from '#layers/path-text.ts'

export const BLOCK_BYTES = 512

export interface TarHeader {
  readonly typeFlag: string
  readonly name: string
  readonly linkName: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Bytes that follow the header. */
  readonly size: number
  /** Seconds since 1970. */
  readonly mtime: number
  readonly deviceMajor: number
  readonly deviceMinor: number
}

export function broken(what: string, detail?: Record<string, unknown>): LayerError {
  return new LayerError('ARCHIVE_BROKEN', `the layer is not a sound tar: ${what}`, detail ? { detail } : {})
}

export function isZeroBlock(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0)
}

function upToNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0)
  return end === -1 ? bytes : bytes.subarray(0, end)
}

/** Octal digits between spaces and NULs, or base-256 when the first bit is set (GNU). */
export function parseNumber(field: Uint8Array): number {
  const first = field[0] ?? 0
  if ((first & 0x80) !== 0) {
    const negative = (first & 0x40) !== 0
    let value = negative ? (first & 0x7f) - 0x80 : first & 0x7f
    for (const byte of field.subarray(1)) value = value * 256 + byte
    if (!Number.isSafeInteger(value)) throw broken('a number is out of range')
    return value
  }
  const text = Buffer.from(field)
    .toString('latin1')
    .replace(/^[ \0]+/, '')
    .replace(/[ \0].*$/s, '')
  if (text === '') return 0
  if (!/^[0-7]+$/.test(text)) throw broken('a number is not octal')
  return Number.parseInt(text, 8)
}

function checkSum(block: Uint8Array): void {
  const stated = parseNumber(block.subarray(148, 156))
  let unsigned = 8 * 32
  let signed = 8 * 32
  for (let at = 0; at < BLOCK_BYTES; at += 1) {
    if (at >= 148 && at < 156) continue
    const byte = block[at] ?? 0
    unsigned += byte
    signed += byte < 0x80 ? byte : byte - 0x100
  }
  if (stated !== unsigned && stated !== signed) throw broken('the checksum of a header is wrong')
}

/** @throws LayerError ARCHIVE_BROKEN */
export function parseHeader(block: Buffer): TarHeader {
  checkSum(block)
  const magic = block.toString('latin1', 257, 265)
  let name = textOfBytes(upToNul(block.subarray(0, 100)))
  // "ustar\0" splits long names; GNU's "ustar  \0" keeps other things in the same place.
  if (magic.startsWith('ustar\0')) {
    const star = block.toString('latin1', 508, 512) === 'tar\0'
    const prefix = textOfBytes(upToNul(block.subarray(345, star ? 476 : 500)))
    if (prefix !== '') name = `${prefix}/${name}`
  }
  const known = magic.startsWith('ustar')
  return {
    typeFlag: String.fromCharCode(block[156] ?? 0),
    name,
    linkName: textOfBytes(upToNul(block.subarray(157, 257))),
    mode: parseNumber(block.subarray(100, 108)),
    uid: parseNumber(block.subarray(108, 116)),
    gid: parseNumber(block.subarray(116, 124)),
    size: parseNumber(block.subarray(124, 136)),
    mtime: parseNumber(block.subarray(136, 148)),
    deviceMajor: known ? parseNumber(block.subarray(329, 337)) : 0,
    deviceMinor: known ? parseNumber(block.subarray(337, 345)) : 0,
  }
}

export interface PaxRecords {
  /** The last value of each keyword. Values are bytes: an extended attribute is binary. */
  readonly values: ReadonlyMap<string, Buffer>
  /** GNU.sparse.offset and GNU.sparse.numbytes in the order they stand in: format 0.0 repeats them. */
  readonly sparse: readonly number[]
}

const NUL_FREE = new Set(['path', 'linkpath', 'uname', 'gname'])

/** Parses "<length> <keyword>=<value>\n" records. @throws LayerError ARCHIVE_BROKEN */
export function parsePax(bytes: Buffer): PaxRecords {
  const values = new Map<string, Buffer>()
  const sparse: number[] = []
  let at = 0
  while (at < bytes.length) {
    const space = bytes.indexOf(0x20, at)
    const digits = space === -1 ? '' : bytes.toString('latin1', at, Math.min(space, at + 12))
    const length = /^[0-9]{1,10}$/.test(digits) ? Number(digits) : 0
    const end = at + length
    const equals = bytes.indexOf(0x3d, space + 1)
    if (space === -1 || end > bytes.length || equals === -1 || equals >= end || bytes[end - 1] !== 0x0a)
      throw broken('a pax record is malformed')
    const keyword = bytes.toString('utf8', space + 1, equals)
    const value = bytes.subarray(equals + 1, end - 1)
    if (keyword === '' || (NUL_FREE.has(keyword) && value.includes(0)))
      throw broken('a pax record is malformed')
    if (keyword === 'GNU.sparse.offset' || keyword === 'GNU.sparse.numbytes') sparse.push(paxNumber(value))
    // An empty value takes an earlier one back.
    else if (value.length === 0) values.delete(keyword)
    else values.set(keyword, value)
    at = end
  }
  return { values, sparse }
}

/** A decimal whole number. */
export function paxNumber(value: Uint8Array): number {
  const text = Buffer.from(value).toString('latin1')
  const number = /^-?[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(number)) throw broken('a pax number is malformed')
  return number
}

/** Seconds with a fraction, e.g. "1700000000.123456789"; digits beyond a double's precision are lost (about 0.3 us). */
export function paxTime(value: Uint8Array): number {
  const text = Buffer.from(value).toString('latin1')
  if (!/^-?[0-9]{1,15}(\.[0-9]{0,40})?$/.test(text)) throw broken('a pax time is malformed')
  return Number(text)
}
