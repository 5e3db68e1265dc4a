// A body as a thing that pushes chunks: cheaper than an async iterator, and with back-pressure.

/**
 * Takes one chunk. Returns a promise when the source must wait before the next one, undefined when it may go on.
 * The chunk belongs to the sink from then on.
 */
export type ByteSink = (chunk: Uint8Array) => Promise<void> | undefined

/**
 * Pushes every chunk into the sink, then resolves. Rejects when the source breaks, when the sink throws, and with the
 * signal's reason when that is aborted while the source waits for more.
 */
export type ByteSource = (sink: ByteSink, signal?: AbortSignal) => Promise<void>

export const emptySource: ByteSource = async () => {}

export function sourceOf(...chunks: readonly Uint8Array[]): ByteSource {
  return async (sink) => {
    for (const chunk of chunks) await sink(chunk)
  }
}
