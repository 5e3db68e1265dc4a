// What can be asked of a copy, what it tells while it runs, and what it says in the end.
import type { SharedTransfers } from '#client/shared-transfers.ts'
import type { BlobWhereabouts } from '#client/whereabouts.ts'
import type { Descriptor, Platform } from '#oci/descriptor.ts'
import type { Reference, Tag } from '#oci/reference.ts'

/** What happens, as it happens. `bytes` comes with every chunk: the listener must be quick. */
export type CopyEvent =
  | { readonly type: 'blob-start'; readonly descriptor: Descriptor }
  | { readonly type: 'bytes'; readonly descriptor: Descriptor; readonly bytes: number }
  /** A blob is sent again from an offset: bytes beyond it count once more. */
  | { readonly type: 'blob-restart'; readonly descriptor: Descriptor; readonly from: number }
  | { readonly type: 'blob-end'; readonly descriptor: Descriptor; readonly outcome: BlobOutcome }
  | { readonly type: 'manifest-end'; readonly descriptor: Descriptor; readonly outcome: 'copied' | 'present' }

export type BlobOutcome = 'copied' | 'mounted' | 'present' | 'left-out'

export interface CopyOptions {
  /** What to copy; without it, the only image of a layout or archive, or `latest` of a repository. */
  readonly reference?: Reference | undefined
  /** The tags it gets at the destination; without any, it is stored by digest. */
  readonly tags?: readonly Tag[] | undefined
  /** One platform of an index: its image becomes what is copied. Without it, all platforms. */
  readonly platform?: Platform | undefined
  /** Signatures, SBOMs and whatever else refers to what is copied. */
  readonly referrers?: boolean | undefined
  /** Layers that image-spec calls non-distributable, Windows base layers: left out unless asked for. */
  readonly nonDistributable?: boolean | undefined
  readonly transfersMax?: number | undefined
  readonly bytesInFlightMax?: number | undefined
  /** For several copies into one place at the same time; it takes the place of the two limits above. */
  readonly transfers?: SharedTransfers | undefined
  /** Remembers over several copies which repository has which blob, so that it is mounted from there. */
  readonly whereabouts?: BlobWhereabouts | undefined
  readonly onProgress?: ((event: CopyEvent) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface CopyCount {
  readonly blobs: number
  readonly bytes: number
}

export interface CopyResult {
  /** What the tags stand for now. */
  readonly root: Descriptor
  readonly copied: CopyCount
  readonly mounted: CopyCount
  /** What the destination had. Blobs below a manifest that it had are not counted: nobody looked at them. */
  readonly skipped: CopyCount
  readonly leftOut: CopyCount
  readonly manifestsCopied: number
  readonly manifestsSkipped: number
  /** Referrers among the manifests. */
  readonly referrers: number
}
