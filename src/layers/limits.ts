// How much an image may unfold to. A layer is written by a stranger: a few kilobytes can claim petabytes.
import { LayerError } from '#layers/layer-error.ts'

const MiB = 1024 * 1024
const GiB = 1024 * MiB

export interface LayerLimits {
  /** Uncompressed bytes of all layers together; the same limit holds for the bytes of all files with holes filled. */
  readonly totalBytesMax: number
  /** Entries of all layers together, folders that we make for them included. */
  readonly entriesMax: number
  /** Bytes of one file, holes included. */
  readonly fileBytesMax: number
  /** Bytes of one name or link target in an archive. */
  readonly pathBytesMax: number
  /** Folders above a file. */
  readonly pathDepthMax: number
  /** Bytes of one pax header, long name or sparse map. */
  readonly headerBytesMax: number
  /** Bytes of names, link targets and extended attributes kept in memory for all layers together. */
  readonly heldBytesMax: number
  /** Uncompressed bytes for each compressed byte of one layer, once it unfolded to more than ratioFreeBytes. */
  readonly compressionRatioMax: number
  /** Bytes that one layer may unfold to whatever its ratio: a file of zeros is honest. */
  readonly ratioFreeBytes: number
}

export const LAYER_LIMITS: LayerLimits = {
  totalBytesMax: 256 * GiB,
  entriesMax: 2_000_000,
  fileBytesMax: 128 * GiB,
  pathBytesMax: 4095,
  pathDepthMax: 256,
  headerBytesMax: 1 * MiB,
  heldBytesMax: 512 * MiB,
  compressionRatioMax: 250,
  ratioFreeBytes: 1 * GiB,
}

/** What was used of the limits so far: one for all layers of an image. */
export class LayerBudget {
  readonly limits: LayerLimits
  archiveBytes = 0
  fileBytes = 0
  entries = 0
  #heldBytes = 0

  constructor(limits: Partial<LayerLimits> = {}) {
    this.limits = { ...LAYER_LIMITS, ...limits }
  }

  /** A budget of its own that has used what this one has. */
  fork(): LayerBudget {
    const copy = new LayerBudget(this.limits)
    copy.archiveBytes = this.archiveBytes
    copy.fileBytes = this.fileBytes
    copy.entries = this.entries
    copy.#heldBytes = this.#heldBytes
    return copy
  }

  /** @throws LayerError LIMIT_PASSED when value is above the limit of that name */
  check(limit: keyof LayerLimits, value: number, what: string): void {
    if (value <= this.limits[limit]) return
    throw new LayerError('LIMIT_PASSED', `${what}: more than ${limit} = ${this.limits[limit]} allows`, {
      detail: { limit, allowed: this.limits[limit] },
    })
  }

  addArchive(bytes: number): void {
    this.archiveBytes += bytes
    this.check('totalBytesMax', this.archiveBytes, 'the layers unfold to too many bytes')
  }

  addFile(bytes: number): void {
    this.check('fileBytesMax', bytes, 'a file is too large')
    this.fileBytes += bytes
    this.check('totalBytesMax', this.fileBytes, 'the files of the image are too large together')
  }

  addEntry(heldBytes: number): void {
    this.entries += 1
    this.#heldBytes += heldBytes
    this.check('entriesMax', this.entries, 'the layers hold too many entries')
    this.check(
      'heldBytesMax',
      this.#heldBytes,
      'the names and attributes of the layers are too large together',
    )
  }

  /** Looks at one layer: bytes taken from the stream so far, and bytes that came out. */
  checkRatio(compressedBytes: number, uncompressedBytes: number): void {
    if (uncompressedBytes <= this.limits.ratioFreeBytes) return
    const ratio = uncompressedBytes / Math.max(1, compressedBytes)
    this.check('compressionRatioMax', ratio, 'a layer unfolds like a decompression bomb')
  }
}
