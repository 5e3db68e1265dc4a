// Small text files by path: registry:2's link files. Paths are relative to the root of the store, with "/" between parts.

export interface KeyEntry {
  readonly name: string
  /** Also true of a symbolic link that leads to a folder. */
  readonly directory: boolean
  /** Set where a symbolic link leads to a folder. */
  readonly link?: true
}

/**
 * What stands here mirrors facts of the Db, so writes are atomic towards readers but need not be durable at once.
 * Every path is made from parsed values; a part that is "", "." or ".." or holds NUL or a backslash is refused by a throw.
 */
export interface KeyStore {
  /** The text, undefined when absent. Reads at most 4 KiB: a link is one digest. */
  get(path: string): Promise<string | undefined>
  /** Writes the file, and the folders above it. */
  put(path: string, text: string): Promise<void>
  /** Removes a file or a folder with all that is in it; absent is fine. */
  remove(path: string): Promise<void>
  /** The direct children of a folder, in no order; none when it is absent. Large folders are read in pieces. */
  list(path: string): AsyncIterable<KeyEntry>
  /** When the file was last written, milliseconds since 1970; undefined when absent. */
  modifiedAt(path: string): Promise<number | undefined>
}

/** Extra power: a text that survives the death of the system. */
export interface Durable {
  /** Makes the text at a path durable, and its name. @throws when it is absent */
  sync(path: string): Promise<void>
}

/** Extra power: tells folders apart that symbolic links make several ways to. */
export interface Linked {
  /** Where a folder really is, in one spelling for every way to it; undefined when it is absent. */
  real(path: string): Promise<string | undefined>
}

/** One change of a batch: a text to write, or something to remove. */
export type KeyChange =
  | { readonly path: string; readonly text: string }
  | { readonly path: string; readonly text?: undefined }

/**
 * Extra power: many changes for the price of few, in the order of the list. A reader may see a text half written: for
 * folders that nobody else reads meanwhile. What a crash leaves half is for the caller to write again.
 */
export interface Batching {
  /** @throws OciError STORAGE_FULL; some changes may have been made then */
  apply(changes: readonly KeyChange[]): Promise<void>
  close(): Promise<void>
}

/** Extra power: a folder with all that is in it, in a few requests. */
export interface Scanning {
  /** Every file below the folder, in the order of their paths, with its bytes. */
  scan(folder: string): AsyncIterable<{ readonly path: string; readonly size: number }>
}

export function isScanning(keys: object): keys is Scanning {
  return 'scan' in keys
}
