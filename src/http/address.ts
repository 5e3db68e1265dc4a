// The address of a request, taken apart by hand: it is done for every request.

/** What stands behind `base` and its slash in an address, and the query; undefined for an address elsewhere. */
export function pathBehind(
  address: string,
  base: string,
): { readonly path: string; readonly query: string } | undefined {
  // RFC 9112 section 3.2.2: a server accepts the absolute form too, which clients send to what they take for a proxy.
  const url = address.charCodeAt(0) === SLASH ? address : address.replace(/^https?:\/\/[^/?]*/i, '')
  if (!url.startsWith(base)) return undefined
  const mark = url.indexOf('?', base.length)
  const end = mark < 0 ? url.length : mark
  if (end > base.length && url.charCodeAt(base.length) !== SLASH) return undefined
  return { path: url.slice(base.length + 1, end), query: mark < 0 ? '' : url.slice(mark + 1) }
}

const SLASH = 47
