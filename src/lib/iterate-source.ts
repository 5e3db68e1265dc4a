// A source that pushes as an iterable that is asked: the source waits until each chunk was taken.
import type { ByteSource } from '#lib/byte-source.ts'

interface Offered {
  readonly chunk: Uint8Array
  readonly taken: () => void
  readonly refuse: (reason: Error) => void
}

/**
 * Ends with the error of the source. When the reader stops early, the source's sink fails, which ends the source.
 * A source that cannot wait at once, as TLS with a record that is decrypted already, may push a few chunks more: they
 * queue here.
 */
export async function* iterateSource(source: ByteSource): AsyncGenerator<Uint8Array> {
  const queue: Offered[] = []
  const stop = new Error('nobody reads on')
  let stopped = false
  let ended: { readonly error?: unknown } | undefined
  let wake = () => {}
  const running = source((chunk) => {
    if (stopped) throw stop
    if (chunk.byteLength === 0) return undefined
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    queue.push({ chunk, taken: resolve, refuse: reject })
    wake()
    return promise
  }).then(
    () => {
      ended = {}
      wake()
    },
    (error: unknown) => {
      ended = { error }
      wake()
    },
  )
  try {
    for (;;) {
      const [next] = queue
      if (next) {
        yield next.chunk
        queue.shift()
        next.taken()
        continue
      }
      if (ended) {
        if ('error' in ended) throw ended.error
        return
      }
      const more = Promise.withResolvers<void>()
      wake = more.resolve
      await more.promise
    }
  } finally {
    stopped = true
    for (const { refuse } of queue) refuse(stop)
    await running
  }
}
