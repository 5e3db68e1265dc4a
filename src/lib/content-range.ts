// The Content-Range header of a chunk of an upload: the distribution spec's own form `a-b`, and the forms of RFC 9110 that
// older clients send.

export interface ContentRange {
  /** First byte. */
  readonly start: number
  /** Behind the last byte: the chunk has end - start bytes, and the next one starts at end. The header names the last byte. */
  readonly end: number
  /** Bytes of the whole, where the client said it. */
  readonly total?: number
}

const FORM = /^(?:bytes[ =])?(\d{1,16})-(\d{1,16})(?:\/(?:(\d{1,16})|\*))?$/i

/** Reads `a-b`, `bytes a-b/total`, `bytes a-b/*` and `bytes=a-b`; undefined for anything else, and for numbers that cannot be. */
export function parseContentRange(header: string): ContentRange | undefined {
  const match = FORM.exec(header.trim())
  if (!match) return undefined
  const start = Number(match[1])
  const end = Number(match[2]) + 1
  if (!Number.isSafeInteger(end) || start >= end) return undefined
  if (match[3] === undefined) return { start, end }
  const total = Number(match[3])
  if (!Number.isSafeInteger(total) || total < end) return undefined
  return { start, end, total }
}
