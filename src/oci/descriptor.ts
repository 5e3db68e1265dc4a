// A descriptor: what another object points at its content with. Source: image-spec descriptor.md.
import type { Digest } from '#oci/digest.ts'

export interface Platform {
  readonly architecture: string
  readonly os: string
  readonly variant?: string
  readonly 'os.version'?: string
  readonly 'os.features'?: readonly string[]
}

export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly urls?: readonly string[]
  readonly platform?: Platform
  /** The content itself in base64, when it is embedded. */
  readonly data?: string
}
