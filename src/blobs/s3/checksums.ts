// Guards bytes on their way to S3: by a CRC32, which every current server stores and says back; by Content-MD5 where the
// first answer shows that a server passes over it.
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { isUnsupported } from '#blobs/s3/s3-failure.ts'
import type { DirectHead } from '#lib/direct-connection.ts'

export type Sums = { readonly ChecksumCRC32: string } | { readonly ContentMD5: string }

export class Checksums {
  #kind: 'crc32' | 'md5' = 'crc32'

  /** `request` sends the bytes with the sums, and gives back what the server said of them. */
  async send<T>(
    bytes: Uint8Array,
    request: (sums: Sums) => Promise<{ readonly crc32: string | undefined; readonly value: T }>,
  ): Promise<T> {
    if (this.#kind === 'crc32') {
      const sum = crc32Of(bytes)
      try {
        const { crc32, value } = await request({ ChecksumCRC32: sum })
        if (crc32 === sum) return value
        if (crc32 !== undefined) throw new Error(`the checksum of what arrived is ${crc32}, not ${sum}`)
      } catch (error) {
        if (!isUnsupported(error)) throw error
      }
      this.#kind = 'md5'
    }
    const { value } = await request({ ContentMD5: md5Of(bytes) })
    return value
  }
}

export function md5Of(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('base64')
}

export function sumHeaders(sums: Sums): Record<string, string> {
  return 'ContentMD5' in sums
    ? { 'content-md5': sums.ContentMD5 }
    : { 'x-amz-checksum-crc32': sums.ChecksumCRC32 }
}

/** What a reply to bytes with sums says of them, where it came. */
export function toldSum(
  reply: DirectHead | undefined,
): { readonly crc32: string | undefined; readonly value: string } | undefined {
  const etag = reply?.headers['etag']
  return reply && etag !== undefined
    ? { crc32: reply.headers['x-amz-checksum-crc32'], value: etag }
    : undefined
}

function crc32Of(bytes: Uint8Array): string {
  const sum = Buffer.allocUnsafe(4)
  sum.writeUInt32BE(crc32(bytes))
  return sum.toString('base64')
}
