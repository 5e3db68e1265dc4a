// The Range header of a GET (RFC 9110 section 14.2), resolved against the size of what was asked for.

/** A header longer than this is passed over. */
export const RANGE_HEADER_CHARS_MAX = 2048
/** Ranges in one request; whoever asks for more wants to make us work (CVE-2011-3192). */
export const RANGES_MAX = 16

export interface ByteRange {
  /** First byte. */
  readonly start: number
  /** Behind the last byte, as BlobReader.chunks takes it: the length is end - start. */
  readonly end: number
}

/**
 * Resolves a Range header. Overlapping and touching ranges are made one, in ascending order; others keep the order asked for.
 * @param size bytes of the whole
 * @returns at least one range, each within the size and not empty; 'unsatisfiable' for a 416; undefined when the header says
 *   nothing to us (another unit, not well-formed, or there is nothing to take a part of) and the whole is to be sent
 */
export function parseRange(header: string, size: number): readonly ByteRange[] | 'unsatisfiable' | undefined {
  if (header.length > RANGE_HEADER_CHARS_MAX) return undefined
  const set = /^bytes=(.*)$/i.exec(header.trim())?.[1]
  if (set === undefined) return undefined
  const specs = set
    .split(',')
    .map((spec) => spec.trim())
    .filter((spec) => spec !== '')
  if (specs.length === 0 || !specs.every((spec) => /^(?:\d+-\d*|-\d+)$/.test(spec))) return undefined
  // Of an empty blob no range can be satisfied; Go's servers, so registry:2, send it whole, and clients have come to rely on it.
  if (size === 0) return undefined
  if (specs.length > RANGES_MAX) return 'unsatisfiable'
  const ranges = specs.map((spec) => resolve(spec, size)).filter((range) => range !== undefined)
  return ranges.length === 0 ? 'unsatisfiable' : coalesce(ranges)
}

/** Undefined for a range that no byte of the whole lies in; also for `500-0`, which the conformance suite wants as a 416. */
function resolve(spec: string, size: number): ByteRange | undefined {
  const dash = spec.indexOf('-')
  if (dash === 0) {
    const suffix = Number(spec.slice(1))
    return suffix === 0 ? undefined : { start: Math.max(0, size - suffix), end: size }
  }
  const start = Number(spec.slice(0, dash))
  const last = spec.length === dash + 1 ? Number.POSITIVE_INFINITY : Number(spec.slice(dash + 1))
  if (start >= size || last < start) return undefined
  return { start, end: Math.min(last + 1, size) }
}

function coalesce(ranges: readonly ByteRange[]): readonly ByteRange[] {
  const merged: { start: number; end: number }[] = []
  for (const range of ranges.toSorted((a, b) => a.start - b.start)) {
    const before = merged.at(-1)
    if (before && range.start <= before.end) before.end = Math.max(before.end, range.end)
    else merged.push({ ...range })
  }
  return merged.length === ranges.length ? ranges : merged
}
