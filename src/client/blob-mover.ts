// Moves the blobs of a copy: side by side within a budget, each once, mounted where that is possible.
import type { BlobOutcome, CopyEvent, CopyOptions } from '#client/copy-options.ts'
import { type BlobContent, isMounting, type ReadablePlace, type WritablePlace } from '#client/place.ts'
import { newTransfers, type SharedTransfers } from '#client/shared-transfers.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import { isNonDistributable } from '#oci/media-types.ts'
import type { RepositoryName } from '#oci/reference.ts'

/** What one transfer holds in buffers at most: the stream's window, and what is gathered for the disk. */
const TRANSFER_BYTES_MAX = 4 * 1024 * 1024

interface Count {
  blobs: number
  bytes: number
}

type BlobSource = ReturnType<BlobContent['from']>

export class BlobMover {
  readonly counts: Readonly<Record<BlobOutcome, Count>> = {
    copied: newCount(),
    mounted: newCount(),
    present: newCount(),
    'left-out': newCount(),
  }
  readonly #source: ReadablePlace
  readonly #destination: WritablePlace
  readonly #options: CopyOptions
  readonly #signal: AbortSignal
  readonly #transfers: SharedTransfers
  readonly #moves = new Map<Digest, Promise<void>>()

  constructor(source: ReadablePlace, destination: WritablePlace, options: CopyOptions, signal: AbortSignal) {
    this.#source = source
    this.#destination = destination
    this.#options = options
    this.#signal = signal
    this.#transfers = options.transfers ?? newTransfers(options)
  }

  /** Resolves when the destination has the blob; each is moved once. @throws ClientError; the reason of the signal */
  move(descriptor: Descriptor): Promise<void> {
    const known = this.#moves.get(descriptor.digest)
    if (known) return known
    const work = this.#copy(descriptor)
    work.catch(() => {})
    this.#moves.set(descriptor.digest, work)
    return work
  }

  /** Resolves when nothing is under way any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#moves.values())
  }

  async #copy(descriptor: Descriptor): Promise<void> {
    if (isNonDistributable(descriptor.mediaType) && !this.#options.nonDistributable) {
      this.#count(descriptor, 'left-out')
      return
    }
    const isFirst = await this.#transfers.once(descriptor.digest, () => this.#transfer(descriptor))
    if (!isFirst) this.#count(descriptor, 'present')
  }

  async #transfer(descriptor: Descriptor): Promise<void> {
    const outcome = await this.#transfers.budget.run(
      Math.min(descriptor.size, TRANSFER_BYTES_MAX),
      this.#signal,
      async () => {
        if (await this.#destination.has(descriptor, { signal: this.#signal })) return 'present'
        this.#tell({ type: 'blob-start', descriptor })
        return await this.#destination.pushBlob(descriptor, this.#contentOf(descriptor), {
          signal: this.#signal,
          mountFrom: this.#mountFrom(descriptor.digest),
        })
      },
    )
    if (isMounting(this.#destination)) this.#options.whereabouts?.add(this.#destination, descriptor.digest)
    this.#count(descriptor, outcome)
  }

  #contentOf(descriptor: Descriptor): BlobContent {
    const { onProgress } = this.#options
    const source = this.#source
    const call = { signal: this.#signal }
    let opened = false
    const restarted = (from: number) => {
      if (opened) onProgress?.({ type: 'blob-restart', descriptor, from })
      opened = true
    }
    const counting = <S extends BlobSource>(open: S): S => {
      if (!onProgress) return open
      const counted: BlobSource = (sink) =>
        open((chunk) => {
          onProgress({ type: 'bytes', descriptor, bytes: chunk.byteLength })
          return sink(chunk)
        })
      return counted as S
    }
    return {
      whole: () => {
        restarted(0)
        return counting(source.blob(descriptor, call))
      },
      from: (start) => {
        restarted(start)
        return counting(source.blobFrom(descriptor, start, call))
      },
    }
  }

  /** A repository of the destination's registry that has the blob: the source itself, or where an earlier copy put it. */
  #mountFrom(digest: Digest): RepositoryName | undefined {
    if (!isMounting(this.#destination)) return undefined
    const { registry, repository } = this.#destination
    if (isMounting(this.#source) && this.#source.registry === registry) {
      return this.#source.repository === repository ? undefined : this.#source.repository
    }
    return this.#options.whereabouts?.find(registry, digest, repository)
  }

  #count(descriptor: Descriptor, outcome: BlobOutcome): void {
    const count = this.counts[outcome]
    count.blobs += 1
    count.bytes += descriptor.size
    this.#tell({ type: 'blob-end', descriptor, outcome })
  }

  #tell(event: CopyEvent): void {
    this.#options.onProgress?.(event)
  }
}

function newCount(): Count {
  return { blobs: 0, bytes: 0 }
}
