// Files with holes, in the four ways that GNU tar has written them. Source: GNU tar manual, "Storing Sparse Files".
import type { ByteCursor } from '#layers/byte-cursor.ts'
import { BLOCK_BYTES, broken, type PaxRecords, parseNumber, paxNumber } from '#layers/tar-header.ts'

const ZEROS = new Uint8Array(64 * 1024)

/** Bytes that are there; everything between and behind is zero. */
export interface SparsePart {
  readonly offset: number
  readonly length: number
}

export interface SparseMap {
  readonly parts: readonly SparsePart[]
  /** Bytes of the file with its holes. */
  readonly size: number
}

/** @throws LayerError ARCHIVE_BROKEN when parts overlap, go backwards, leave the file, or do not sum up to packedBytes */
function checked(parts: readonly SparsePart[], size: number, packedBytes: number): SparseMap {
  let end = 0
  let sum = 0
  for (const part of parts) {
    if (part.offset < end || part.length < 0 || part.offset + part.length > size)
      throw broken('a sparse map is malformed')
    end = part.offset + part.length
    sum += part.length
  }
  if (size < 0 || sum !== packedBytes) throw broken('a sparse map does not fit its data')
  return { parts, size }
}

function pairs(numbers: readonly number[]): SparsePart[] {
  if (numbers.length % 2 !== 0) throw broken('a sparse map is malformed')
  const parts: SparsePart[] = []
  for (let at = 0; at < numbers.length; at += 2)
    parts.push({ offset: numbers[at] ?? -1, length: numbers[at + 1] ?? -1 })
  return parts
}

function binaryParts(table: Buffer, count: number): SparsePart[] {
  const parts: SparsePart[] = []
  for (let at = 0; at < count * 24; at += 24) {
    if (table[at] === 0) break
    parts.push({
      offset: parseNumber(table.subarray(at, at + 12)),
      length: parseNumber(table.subarray(at + 12, at + 24)),
    })
  }
  return parts
}

/** Old GNU ('S'): four parts in the header, more in blocks behind it. The cursor stands behind the header. */
export async function oldGnuSparse(
  header: Buffer,
  cursor: ByteCursor,
  packedBytes: number,
  mapBytesMax: number,
): Promise<SparseMap> {
  const parts = binaryParts(header.subarray(386, 482), 4)
  let extended = header[482] !== 0
  let mapBytes = 0
  while (extended) {
    mapBytes += BLOCK_BYTES
    if (mapBytes > mapBytesMax) throw broken('a sparse map is too long')
    const block = await cursor.take(BLOCK_BYTES)
    if (block.length < BLOCK_BYTES) throw broken('it ends inside a sparse map')
    parts.push(...binaryParts(block, 21))
    extended = block[504] !== 0
  }
  return checked(parts, parseNumber(header.subarray(483, 495)), packedBytes)
}

/** True when the records make the file a sparse one of format 1.0, whose map stands before its data. */
export function isSparse10(pax: PaxRecords): boolean {
  return (
    pax.values.get('GNU.sparse.major')?.toString() === '1' &&
    pax.values.get('GNU.sparse.minor')?.toString() === '0'
  )
}

/** Formats 0.0 and 0.1, whose map stands in the pax records; undefined for a file without holes. */
export function paxSparse(pax: PaxRecords, packedBytes: number): SparseMap | undefined {
  const size = pax.values.get('GNU.sparse.size')
  if (size === undefined) return undefined
  const listed = pax.values.get('GNU.sparse.map')
  const numbers = listed
    ? listed
        .toString('latin1')
        .split(',')
        .map((text) => paxNumber(Buffer.from(text)))
    : pax.sparse
  return checked(pairs(numbers), paxNumber(size), packedBytes)
}

/** Format 1.0: decimal lines in the data, filled up to a block. Returns the map and the bytes that it took. */
export async function dataSparse(
  pax: PaxRecords,
  cursor: ByteCursor,
  size: number,
  mapBytesMax: number,
): Promise<{ map: SparseMap; mapBytes: number }> {
  let text = ''
  let mapBytes = 0
  const more = async () => {
    mapBytes += BLOCK_BYTES
    if (mapBytes > Math.min(size, mapBytesMax)) throw broken('a sparse map is too long')
    const block = await cursor.take(BLOCK_BYTES)
    if (block.length < BLOCK_BYTES) throw broken('it ends inside a sparse map')
    text += block.toString('latin1')
  }
  let at = 0
  const number = async () => {
    let end = text.indexOf('\n', at)
    while (end === -1) {
      await more()
      end = text.indexOf('\n', at)
    }
    const value = paxNumber(Buffer.from(text.slice(at, end)))
    at = end + 1
    return value
  }
  const count = await number()
  if (count < 0 || count > mapBytesMax) throw broken('a sparse map is malformed')
  const numbers: number[] = []
  for (let index = 0; index < count * 2; index += 1) numbers.push(await number())
  const real = pax.values.get('GNU.sparse.realsize')
  if (real === undefined) throw broken('a sparse file has no size')
  return { map: checked(pairs(numbers), paxNumber(real), size - mapBytes), mapBytes }
}

function* zeros(length: number): Generator<Uint8Array> {
  for (let left = length; left > 0; left -= ZEROS.length)
    yield ZEROS.subarray(0, Math.min(left, ZEROS.length))
}

/** The file as a reader sees it. `data` gives the next bytes that are there, at most as many as asked for. */
export async function* withHoles(
  map: SparseMap,
  data: (lengthMax: number) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let at = 0
  for (const part of map.parts) {
    yield* zeros(part.offset - at)
    for (let left = part.length; left > 0; ) {
      const piece = await data(left)
      left -= piece.length
      yield piece
    }
    at = part.offset + part.length
  }
  yield* zeros(map.size - at)
}
