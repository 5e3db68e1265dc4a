// A tar as a stream of entries, in constant memory: names and attributes are bounded, content passes through.
import { ByteCursor } from '#layers/byte-cursor.ts'
import type { LayerBudget } from '#layers/limits.ts'
import { textOfBytes } from '#layers/path-text.ts'
import {
  BLOCK_BYTES,
  broken,
  isZeroBlock,
  type PaxRecords,
  parseHeader,
  parsePax,
  paxNumber,
  paxTime,
  type TarHeader,
} from '#layers/tar-header.ts'
import {
  dataSparse,
  isSparse10,
  oldGnuSparse,
  paxSparse,
  type SparseMap,
  withHoles,
} from '#layers/tar-sparse.ts'

export type EntryKind = 'file' | 'link' | 'symlink' | 'folder' | 'character-device' | 'block-device' | 'fifo'

export interface LayerEntry {
  readonly kind: EntryKind
  /** As the archive has it: untrusted, not normalised. See path-text.ts for names that are not UTF-8. */
  readonly name: string
  /** The target of a link or symlink, empty otherwise; as the archive has it. */
  readonly linkName: string
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number
  /** 0 to 4294967294. */
  readonly uid: number
  readonly gid: number
  /** Bytes of content, holes included; 0 for everything that is no file. */
  readonly size: number
  /** Seconds since 1970, with a fraction of about a microsecond. */
  readonly mtime: number
  readonly deviceMajor: number
  readonly deviceMinor: number
  /** Extended attributes by their full name, e.g. `security.capability`. Values are bytes. */
  readonly xattrs: ReadonlyMap<string, Buffer>
  /** Readable once, before the next entry is asked for. Chunks are lent until the next one. */
  readonly content: AsyncIterable<Uint8Array>
}

const KINDS: Readonly<Record<string, EntryKind>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'folder',
  '6': 'fifo',
}

const XATTR_PREFIX = 'SCHILY.xattr.'
/** 4294967295 means "leave it" to chown(2): a file that claims it would keep the owner that made it. */
const ID_MAX = 0xff_ff_ff_fe
const MTIME_SECONDS_MAX = 2 ** 43
const NO_PAX: PaxRecords = { values: new Map(), sparse: [] }
const NO_CONTENT: AsyncIterable<Uint8Array> = { async *[Symbol.asyncIterator]() {} }

function padded(size: number): number {
  return Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES
}

interface Prelude {
  header: TarHeader
  block: Buffer
  pax: PaxRecords
  longName: string | undefined
  longLink: string | undefined
}

/** Reads headers up to the one of a real entry; undefined at the end of the archive. */
async function readPrelude(cursor: ByteCursor, budget: LayerBudget): Promise<Prelude | undefined> {
  let pax = NO_PAX
  let longName: string | undefined
  let longLink: string | undefined
  for (let preceding = 0; ; preceding += 1) {
    const block = await cursor.take(BLOCK_BYTES)
    if (block.length === 0 && preceding === 0) return undefined
    if (block.length < BLOCK_BYTES) throw broken('it ends inside a header')
    if (isZeroBlock(block)) {
      const second = await cursor.take(BLOCK_BYTES)
      if (preceding > 0 || !isZeroBlock(second)) throw broken('a header is missing')
      return undefined
    }
    const header = parseHeader(block)
    if (!['x', 'g', 'L', 'K'].includes(header.typeFlag)) return { header, block, pax, longName, longLink }
    // Only a few such headers have a meaning before one entry; more of them are a way to keep a reader busy.
    if (preceding > 8) throw broken('too many extended headers stand before one entry')
    if (header.size < 0) throw broken('a size is negative')
    budget.check('headerBytesMax', header.size, 'an extended header of the tar is too long')
    const bytes = await cursor.take(header.size)
    const rest = padded(header.size) - header.size
    if (bytes.length < header.size || (await cursor.skip(rest)) < rest)
      throw broken('it ends inside an extended header')
    // Global records ('g') are read past, as Go's archive/tar does: git puts its commit there, nobody else uses them.
    if (header.typeFlag === 'x') pax = parsePax(bytes)
    else if (header.typeFlag === 'L') longName = textOfBytes(withoutNul(bytes))
    else if (header.typeFlag === 'K') longLink = textOfBytes(withoutNul(bytes))
  }
}

function withoutNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0)
  return end === -1 ? bytes : bytes.subarray(0, end)
}

function xattrsOf(pax: PaxRecords): Map<string, Buffer> {
  const xattrs = new Map<string, Buffer>()
  for (const [keyword, value] of pax.values)
    if (keyword.startsWith(XATTR_PREFIX)) xattrs.set(keyword.slice(XATTR_PREFIX.length), value)
  return xattrs
}

interface Facts extends Omit<LayerEntry, 'content'> {
  /** Bytes of data in the archive. */
  readonly packedBytes: number
}

function factsOf({ header, pax, longName, longLink }: Prelude): Facts {
  const { values } = pax
  const text = (keyword: string) => {
    const value = values.get(keyword)
    return value && textOfBytes(value)
  }
  const number = (keyword: string, other: number) => {
    const value = values.get(keyword)
    return value ? paxNumber(value) : other
  }
  const name = text('GNU.sparse.name') ?? longName ?? text('path') ?? header.name
  let kind = KINDS[header.typeFlag]
  if (kind === undefined)
    throw broken('an entry has a type that we do not know', { type: header.typeFlag, name })
  // Before POSIX there was no type for folders: a slash at the end of the name told them.
  if (header.typeFlag === '\0' && name.endsWith('/')) kind = 'folder'
  const uid = number('uid', header.uid)
  const gid = number('gid', header.gid)
  if (uid < 0 || uid > ID_MAX || gid < 0 || gid > ID_MAX) throw broken('an owner is out of range', { name })
  const size = number('size', header.size)
  if (size < 0) throw broken('a size is negative', { name })
  const paxMtime = values.get('mtime')
  const mtime = paxMtime ? paxTime(paxMtime) : header.mtime
  const isLink = kind === 'link' || kind === 'symlink'
  return {
    kind,
    name,
    linkName: isLink ? (longLink ?? text('linkpath') ?? header.linkName) : '',
    mode: header.mode & 0o7777,
    uid,
    gid,
    size: 0,
    // Some writers give a size to links and folders; no data follows, whatever it says.
    packedBytes: kind === 'file' ? size : 0,
    mtime: Math.max(-MTIME_SECONDS_MAX, Math.min(MTIME_SECONDS_MAX, mtime)),
    deviceMajor: header.deviceMajor,
    deviceMinor: header.deviceMinor,
    xattrs: xattrsOf(pax),
  }
}

/**
 * Entries in archive order. Reads past the end-of-archive marker to the end of the stream, so that a hash of what was
 * read covers all of it; what stands behind the marker is not looked at.
 * @throws LayerError ARCHIVE_BROKEN, LIMIT_PASSED
 */
export async function* tarEntries(
  chunks: AsyncIterable<Uint8Array>,
  budget: LayerBudget,
): AsyncGenerator<LayerEntry> {
  const cursor = new ByteCursor(chunks)
  try {
    for (;;) {
      const prelude = await readPrelude(cursor, budget)
      if (prelude === undefined) break
      const { packedBytes, ...facts } = factsOf(prelude)
      const { map, mapBytes } = await sparseOf(prelude, cursor, packedBytes, budget)
      const size = map?.size ?? packedBytes
      budget.addFile(size)
      let left = packedBytes - mapBytes
      let past = false
      const data = async (lengthMax: number) => {
        if (past) throw new Error('the content of an entry is readable only before the next entry')
        const piece = await cursor.next(Math.min(left, lengthMax))
        if (piece === undefined) throw broken('it ends inside a file', { name: facts.name })
        left -= piece.length
        return piece
      }
      const plain = async function* () {
        while (left > 0) yield await data(left)
      }
      const content = size === 0 ? NO_CONTENT : map ? withHoles(map, data) : plain()
      yield { ...facts, size, content }
      past = true
      if ((await cursor.skip(left)) < left) throw broken('it ends inside a file', { name: facts.name })
      // `umoci insert` leaves the last file unpadded and writes no end marker; Go's reader takes that for the end.
      const padding = padded(packedBytes) - packedBytes
      if ((await cursor.skip(padding)) < padding) break
    }
    while ((await cursor.next(Number.MAX_SAFE_INTEGER)) !== undefined);
  } finally {
    await cursor.close()
  }
}

async function sparseOf(
  { header, block, pax }: Prelude,
  cursor: ByteCursor,
  packedBytes: number,
  budget: LayerBudget,
): Promise<{ map: SparseMap | undefined; mapBytes: number }> {
  const mapBytesMax = budget.limits.headerBytesMax
  if (header.typeFlag === 'S')
    return { map: await oldGnuSparse(block, cursor, packedBytes, mapBytesMax), mapBytes: 0 }
  if (KINDS[header.typeFlag] !== 'file') return { map: undefined, mapBytes: 0 }
  if (isSparse10(pax)) return dataSparse(pax, cursor, packedBytes, mapBytesMax)
  return { map: paxSparse(pax, packedBytes), mapBytes: 0 }
}
