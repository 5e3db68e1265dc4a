// Where each file lies in a tar on disk: reads the headers and steps over the content, so a large archive is known at once.
import { type FileHandle, open } from 'node:fs/promises'
import { posix } from 'node:path'
import { ClientError } from '#client/client-error.ts'
import { textOfBytes } from '#layers/path-text.ts'
import {
  BLOCK_BYTES,
  isZeroBlock,
  parseHeader,
  parsePax,
  paxNumber,
  type TarHeader,
} from '#layers/tar-header.ts'

export interface TarFile {
  /** Bytes from the beginning of the archive. */
  readonly start: number
  readonly size: number
}

/** Plain files as new, old and strange writers mark them. */
const FILE_FLAGS: ReadonlySet<string> = new Set(['0', '\0', '7'])
const ENTRIES_MAX = 200_000
/** A long name or a set of pax records. */
const EXTENSION_BYTES_MAX = 1024 * 1024
/** docker save of old wrote a layer that it had twice as a link to the other. */
const LINKS_MAX = 8

/** Names are normalised: no leading `./`, no `..`. @throws ClientError invalid */
export async function indexTar(path: string): Promise<ReadonlyMap<string, TarFile>> {
  const file = await openArchive(path)
  try {
    return await new TarIndexer(file, path).run()
  } catch (error) {
    if (error instanceof ClientError) throw error
    throw new ClientError('invalid', `${path} is not a sound tar archive`, { cause: error })
  } finally {
    await file.close()
  }
}

async function openArchive(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (cause) {
    throw new ClientError('not-found', `the archive ${path} cannot be opened`, { cause })
  }
}

class TarIndexer {
  readonly #file: FileHandle
  readonly #path: string
  readonly #files = new Map<string, TarFile>()
  readonly #links = new Map<string, string>()

  constructor(file: FileHandle, path: string) {
    this.#file = file
    this.#path = path
  }

  async run(): Promise<ReadonlyMap<string, TarFile>> {
    const archiveBytes = (await this.#file.stat()).size
    let at = 0
    let longName: string | undefined
    let longLink: string | undefined
    let paxSize: number | undefined
    for (let entries = 0; at + BLOCK_BYTES <= archiveBytes; entries++) {
      const block = await this.#read(at, BLOCK_BYTES)
      if (entries === 0) this.#refuseCompressed(block)
      if (isZeroBlock(block)) break
      if (entries > ENTRIES_MAX)
        throw new ClientError('limit', `${this.#path} has more than ${ENTRIES_MAX} entries`)
      const header = parseHeader(block)
      const size = paxSize ?? header.size
      at += BLOCK_BYTES
      if (size < 0 || at + size > archiveBytes) throw new Error('an entry reaches beyond the end')
      if ('xLK'.includes(header.typeFlag)) {
        if (size > EXTENSION_BYTES_MAX) throw new Error('a name or a set of attributes is too long')
        const bytes = await this.#read(at, size)
        if (header.typeFlag === 'L') longName = nulEnded(bytes)
        else if (header.typeFlag === 'K') longLink = nulEnded(bytes)
        else {
          const { values } = parsePax(bytes)
          longName = textOf(values.get('path')) ?? longName
          longLink = textOf(values.get('linkpath')) ?? longLink
          const sizeRecord = values.get('size')
          paxSize = sizeRecord && paxNumber(sizeRecord)
        }
      } else {
        if (header.typeFlag !== 'g')
          this.#add(header, longName ?? header.name, longLink ?? header.linkName, at, size)
        longName = undefined
        longLink = undefined
        paxSize = undefined
      }
      at += Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES
    }
    this.#followLinks()
    return this.#files
  }

  #add(header: TarHeader, rawName: string, link: string, start: number, size: number): void {
    const name = normalised(rawName)
    if (name === undefined) return
    if (FILE_FLAGS.has(header.typeFlag)) this.#files.set(name, { start, size })
    if (header.typeFlag === '1') this.#links.set(name, normalised(link) ?? '')
    if (header.typeFlag === '2')
      this.#links.set(name, normalised(posix.join(posix.dirname(name), link)) ?? '')
  }

  #followLinks(): void {
    for (const name of this.#links.keys()) {
      let target = name
      for (let hop = 0; hop < LINKS_MAX && !this.#files.has(target); hop++)
        target = this.#links.get(target) ?? ''
      const file = this.#files.get(target)
      if (file) this.#files.set(name, file)
    }
  }

  #refuseCompressed(block: Buffer): void {
    const magic = block.toString('hex', 0, 4)
    const tool = magic.startsWith('1f8b') ? 'gunzip' : magic === '28b52ffd' ? 'unzstd' : undefined
    if (tool === undefined) return
    throw new ClientError('invalid', `${this.#path} is compressed as a whole`, {
      hint: `decompress it first with ${tool}: its layers are compressed already, or are read as they are`,
    })
  }

  async #read(at: number, length: number): Promise<Buffer> {
    const buffer = Buffer.alloc(length)
    let filled = 0
    while (filled < length) {
      const { bytesRead } = await this.#file.read(buffer, filled, length - filled, at + filled)
      if (bytesRead === 0) throw new Error('the archive ends too early')
      filled += bytesRead
    }
    return buffer
  }
}

function normalised(name: string): string | undefined {
  const path = posix
    .normalize(name)
    .replace(/^(?:\.?\/)+/, '')
    .replace(/\/$/, '')
  return path === '' || path === '.' || path.startsWith('..') ? undefined : path
}

function nulEnded(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return textOfBytes(end === -1 ? bytes : bytes.subarray(0, end))
}

function textOf(bytes: Buffer | undefined): string | undefined {
  return bytes && textOfBytes(bytes)
}
