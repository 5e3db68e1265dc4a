// /v2/<name>/blobs/<digest>
import { randomBytes } from 'node:crypto'
import type { Redirecting } from '#blobs/store.ts'
import { type Reply, type ReplyStream, readerStream } from '#http/send.ts'
import type { Context } from '#http/v2/context.ts'
import { matches } from '#http/v2/manifests.ts'
import { type ByteRange, parseRange } from '#lib/http-range.ts'
import { type Digest, parseDigest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import { OCTET_STREAM } from '#oci/media-types.ts'
import { type BlobContent, blobAddress, deleteBlob, openBlob, statBlob } from '#registry/blobs.ts'

function describe(digest: Digest) {
  return {
    'Content-Type': OCTET_STREAM,
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
    'Cache-Control': 'max-age=31536000',
    'Accept-Ranges': 'bytes',
  }
}

export async function headBlob(context: Context): Promise<Reply> {
  const digest = parseDigest(context.route.rest)
  context.digest = digest
  const { size } = await statBlob(context.registry, context.route.name, digest)
  if (matches(context.request.headers['if-none-match'], digest)) return notModified(digest)
  return { status: 200, headers: { ...describe(digest), 'Content-Length': size } }
}

export async function getBlob(context: Context): Promise<Reply> {
  const { registry, route, request, caller } = context
  const digest = parseDigest(route.rest)
  context.digest = digest
  if (matches(request.headers['if-none-match'], digest)) {
    await statBlob(registry, route.name, digest)
    return notModified(digest)
  }
  if (registry.redirecting && request.headers.range === undefined)
    return redirect(context, registry.redirecting, digest)
  const content = await openBlob(registry, route.name, digest, request.headers.range !== undefined)
  try {
    const reply = rangedReply(content, digest, rangesOf(context, content.size, digest))
    context.afterReply = (size, durationMs) =>
      registry.reads.add('blob.pulled', { repository: route.name, digest, size, durationMs }, caller)
    return reply
  } catch (error) {
    await content.reader?.close()
    throw error
  }
}

async function redirect(context: Context, redirecting: Redirecting, digest: Digest): Promise<Reply> {
  const { registry, route, caller } = context
  const { url, size } = await blobAddress(registry, redirecting, route.name, digest)
  context.sentElsewhere = size
  // As in registry:2 it counts as a pull, though the bytes go out elsewhere.
  context.afterReply = (_, durationMs) =>
    registry.reads.add('blob.pulled', { repository: route.name, digest, size, durationMs }, caller)
  return {
    status: 307,
    headers: { Location: url.href, 'Docker-Content-Digest': digest, 'Cache-Control': 'no-store' },
  }
}

function notModified(digest: Digest): Reply {
  return { status: 304, headers: { 'Docker-Content-Digest': digest, ETag: `"${digest}"` } }
}

/** Undefined: the whole. @throws OciError RANGE_INVALID */
function rangesOf({ request }: Context, size: number, digest: Digest): readonly ByteRange[] | undefined {
  const { range, 'if-range': ifRange } = request.headers
  if (range === undefined) return undefined
  // RFC 9110, 13.1.5: a range for another version of the content is no range. Ours never changes.
  if (typeof ifRange === 'string' && !ifRange.includes(digest)) return undefined
  const ranges = parseRange(range, size)
  if (ranges === 'unsatisfiable') {
    throw new OciError('RANGE_INVALID', {
      message: `the range is not satisfiable: the blob has ${size} bytes`,
      detail: { range: range.slice(0, 200), size },
      headers: { 'Content-Range': `bytes */${size}` },
    })
  }
  return ranges
}

function rangedReply(content: BlobContent, digest: Digest, ranges: readonly ByteRange[] | undefined): Reply {
  const { size } = content
  if (!ranges) {
    return {
      status: 200,
      headers: { ...describe(digest), 'Content-Length': size },
      body: content.bytes ?? readerStream(content.reader, 0, size),
    }
  }
  const [first] = ranges
  if (ranges.length === 1 && first) {
    const { start, end } = first
    return {
      status: 206,
      headers: {
        ...describe(digest),
        'Content-Length': end - start,
        'Content-Range': `bytes ${start}-${end - 1}/${size}`,
      },
      body:
        content.bytes?.subarray(start, end) ?? (content.reader && readerStream(content.reader, start, end)),
    }
  }
  return multipartReply(content, digest, ranges)
}

/** RFC 9110, 14.6: several ranges as multipart/byteranges. */
function multipartReply(content: BlobContent, digest: Digest, ranges: readonly ByteRange[]): Reply {
  const boundary = randomBytes(16).toString('hex')
  const parts = ranges.map((range) => ({
    ...range,
    head: `\r\n--${boundary}\r\nContent-Type: ${OCTET_STREAM}\r\nContent-Range: bytes ${range.start}-${range.end - 1}/${content.size}\r\n\r\n`,
  }))
  const tail = `\r\n--${boundary}--\r\n`
  const length = parts.reduce((sum, part) => sum + part.head.length + part.end - part.start, tail.length)
  const body: ReplyStream = {
    async write(out) {
      for (const { head, start, end } of parts) {
        await out.send(head)
        if (content.bytes) await out.send(content.bytes.subarray(start, end))
        else for await (const chunk of content.reader.chunks(start, end)) await out.send(chunk)
      }
      await out.send(tail)
    },
    async close() {
      await content.reader?.close()
    },
  }
  return {
    status: 206,
    headers: {
      ...describe(digest),
      'Content-Type': `multipart/byteranges; boundary=${boundary}`,
      'Content-Length': length,
    },
    body,
  }
}

export async function removeBlob({ registry, caller, route }: Context): Promise<Reply> {
  const digest = parseDigest(route.rest)
  await deleteBlob(registry, caller, route.name, digest)
  return { status: 202, headers: { 'Docker-Content-Digest': digest } }
}
