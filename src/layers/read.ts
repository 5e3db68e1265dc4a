// A layer archive as a stream of entries: unfolded, bounded, and held to its DiffID.

import { decompress } from '#layers/decompress.ts'
import { LayerError } from '#layers/layer-error.ts'
import type { LayerBudget } from '#layers/limits.ts'
import { type LayerEntry, tarEntries } from '#layers/tar.ts'
import { algorithmOf, type Digest, DigestHash } from '#oci/digest.ts'

/** Where a layer's bytes come from does not matter here: a registry, a layout folder, a blob store. */
export interface LayerSource {
  /** The layer as it is stored. Each chunk may be lent: it is used up before the next one is asked for. */
  open(): AsyncIterable<Uint8Array>
  /** Of the descriptor. The compression is told by the bytes; this says only that they are not encrypted. */
  readonly mediaType: string
  /** `rootfs.diff_ids` of the image config: the digest of the uncompressed tar. */
  readonly diffId: Digest
}

export interface ReadOptions {
  readonly budget: LayerBudget
  readonly signal?: AbortSignal
  /** Told of compressed bytes as they are taken. */
  readonly onBytes?: (bytes: number) => void
}

/**
 * The entries of one layer. The last `next()` compares the DiffID: until it has returned, nothing read is verified.
 * @throws LayerError DIFF_ID_MISMATCH, COMPRESSION_UNSUPPORTED, COMPRESSION_BROKEN, ARCHIVE_BROKEN, LIMIT_PASSED
 */
export async function* readLayer(source: LayerSource, options: ReadOptions): AsyncGenerator<LayerEntry> {
  if (source.mediaType.endsWith('+encrypted'))
    throw new LayerError('COMPRESSION_UNSUPPORTED', 'the layer is encrypted: decrypt the image first', {
      detail: { mediaType: source.mediaType },
    })
  const { budget, signal, onBytes } = options
  const hash = new DigestHash(algorithmOf(source.diffId))
  let compressed = 0
  let uncompressed = 0
  const counted = async function* () {
    for await (const chunk of source.open()) {
      signal?.throwIfAborted()
      compressed += chunk.length
      onBytes?.(chunk.length)
      yield chunk
    }
  }
  const hashed = async function* () {
    for await (const chunk of decompress(counted())) {
      signal?.throwIfAborted()
      uncompressed += chunk.length
      budget.addArchive(chunk.length)
      budget.checkRatio(compressed, uncompressed)
      hash.update(chunk)
      yield chunk
    }
  }
  yield* tarEntries(hashed(), budget)
  const actual = hash.finish()
  if (actual !== source.diffId)
    throw new LayerError('DIFF_ID_MISMATCH', 'the layer does not unfold to what the image config promises', {
      detail: { expected: source.diffId, actual },
    })
}
