// What can be wrong with a layer archive, or with taking it apart. Rooms above turn the code into words and exit codes.

export type LayerErrorCode =
  /** The layer's uncompressed bytes do not have the DiffID of the image config. */
  | 'DIFF_ID_MISMATCH'
  /** A compression that we do not read, or an encrypted layer. */
  | 'COMPRESSION_UNSUPPORTED'
  /** The compressed stream is cut short or damaged. */
  | 'COMPRESSION_BROKEN'
  /** The tar is cut short or damaged, or says something that no file system can hold. */
  | 'ARCHIVE_BROKEN'
  /** A name that leads outside the root, or that no file can have. */
  | 'PATH_REFUSED'
  /** One of LayerLimits was passed: a bomb, or a limit too low for this image. */
  | 'LIMIT_PASSED'
  /** The destination holds something already. */
  | 'DESTINATION_OCCUPIED'
  /** The file system refused. */
  | 'WRITE_FAILED'
  /** The image config is not what the image-spec says. */
  | 'CONFIG_INVALID'
  /** The image config names a user or group that the root file system does not have. */
  | 'USER_UNKNOWN'

export interface LayerErrorOptions {
  /** Facts: the entry, the limit, the digests. Names come from the archive: they are untrusted text. */
  readonly detail?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

export class LayerError extends Error {
  override readonly name = 'LayerError'
  readonly code: LayerErrorCode
  readonly detail: Readonly<Record<string, unknown>>

  constructor(code: LayerErrorCode, message: string, options: LayerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.detail = options.detail ?? {}
  }
}

/** A name from an archive as one printable line of bounded length. */
export function printable(name: string): string {
  const short = name.length > 200 ? `${name.slice(0, 200)}...` : name
  return JSON.stringify(short.toWellFormed())
}
