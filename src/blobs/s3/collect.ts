import type { BlobReader } from '#blobs/store.ts'

/** All bytes of a reader in one piece; its size is for the caller to bound. */
export async function collect(reader: BlobReader, start = 0, end = reader.size): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(end - start)
  let position = 0
  for await (const chunk of reader.chunks(start, end)) {
    bytes.set(chunk, position)
    position += chunk.length
  }
  return bytes
}
