// Cuts a zstd stream at its frame boundaries. Node's ZstdDecompress ends at the first frame when a write holds bytes of
// the next one, without an error: it would lose the rest of a zstd:chunked layer, or of one written by pzstd.
// Given pieces that never cross a boundary, one decompressor reads all frames. Source: RFC 8878, section 3.
import { LayerError } from '#layers/layer-error.ts'

const FRAME_MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50
const SKIPPABLE_MASK = 0xfffffff0
const FRAME_HEADER_BYTES_MAX = 18
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const
const RLE_BLOCK = 1

type Step = 'magic' | 'descriptor' | 'header' | 'block-header' | 'block' | 'checksum' | 'skip-size' | 'skip'

/** Follows the structure of a zstd stream, without understanding its content. */
export class ZstdFrames {
  #step: Step = 'magic'
  /** Bytes that the step still wants. */
  #wanted = 4
  readonly #gathered = Buffer.alloc(FRAME_HEADER_BYTES_MAX)
  #gatheredLength = 0
  #checksum = false
  #lastBlock = false

  /** True between frames: the stream may end here. */
  get whole(): boolean {
    return this.#step === 'magic' && this.#gatheredLength === 0
  }

  /** Pieces of the chunk in order, none of which crosses a frame boundary; skippable frames are left out. */
  *split(chunk: Uint8Array): Generator<Uint8Array> {
    let start = 0
    let at = 0
    while (at < chunk.length) {
      const length = Math.min(this.#wanted, chunk.length - at)
      const passing = this.#step === 'block' || this.#step === 'checksum' || this.#step === 'skip'
      if (!passing) {
        this.#gathered.set(chunk.subarray(at, at + length), this.#gatheredLength)
        this.#gatheredLength += length
      }
      const step = this.#step
      const before = at
      at += length
      this.#wanted -= length
      if (step === 'magic') {
        // The magic number is held back until it is whole: only then is it known whether the frame is skipped.
        start = at
        if (this.#wanted > 0) return
        const magic = this.#gathered.readUInt32LE(0)
        this.#advance()
        if (magic === FRAME_MAGIC) {
          if (before === at - 4) start = before
          else yield Uint8Array.from(this.#gathered.subarray(0, 4))
        }
        continue
      }
      if (step === 'skip-size' || step === 'skip') {
        start = at
        if (this.#wanted === 0) this.#advance()
        continue
      }
      if (this.#wanted > 0) continue
      this.#advance()
      if (this.#step === 'magic') {
        yield chunk.subarray(start, at)
        start = at
      }
    }
    if (start < at) yield chunk.subarray(start, at)
  }

  #advance(): void {
    // A step that wants nothing is over at once.
    do {
      ;[this.#step, this.#wanted] = this.#following()
      this.#gatheredLength = 0
    } while (this.#wanted === 0)
  }

  /** What comes after the step that is over, and how many bytes it has. */
  #following(): [Step, number] {
    const gathered = this.#gathered
    switch (this.#step) {
      case 'magic': {
        const magic = gathered.readUInt32LE(0)
        if (magic === FRAME_MAGIC) return ['descriptor', 1]
        if ((magic & SKIPPABLE_MASK) >>> 0 === SKIPPABLE_MAGIC) return ['skip-size', 4]
        throw new LayerError('COMPRESSION_BROKEN', 'the zstd stream goes on with something that is no frame')
      }
      case 'descriptor': {
        const descriptor = gathered[0] ?? 0
        const singleSegment = (descriptor & 0x20) !== 0
        this.#checksum = (descriptor & 0x04) !== 0
        const sizeFlag = (descriptor >> 6) & 3
        const sizeBytes = singleSegment && sizeFlag === 0 ? 1 : (CONTENT_SIZE_BYTES[sizeFlag] ?? 0)
        const dictionaryBytes = DICTIONARY_ID_BYTES[descriptor & 3] ?? 0
        return ['header', (singleSegment ? 0 : 1) + dictionaryBytes + sizeBytes]
      }
      case 'header':
        return ['block-header', 3]
      case 'block-header': {
        const header = gathered.readUIntLE(0, 3)
        this.#lastBlock = (header & 1) !== 0
        return ['block', ((header >> 1) & 3) === RLE_BLOCK ? 1 : header >> 3]
      }
      case 'block':
        if (!this.#lastBlock) return ['block-header', 3]
        return this.#checksum ? ['checksum', 4] : ['magic', 4]
      case 'skip-size': {
        const size = gathered.readUInt32LE(0)
        return size === 0 ? ['magic', 4] : ['skip', size]
      }
      case 'checksum':
      case 'skip':
        return ['magic', 4]
    }
  }
}
