// Patterns for names with slashes: `*` and `?` stay within a part, `**` crosses parts.

/** The whole name must match; a pattern without special characters matches itself alone. */
export function globToRegExp(pattern: string): RegExp {
  const source = pattern.replace(/\*\*+|\*|\?|[^*?]+/g, (part) => {
    if (part.startsWith('**')) return '.*'
    if (part === '*') return '[^/]*'
    if (part === '?') return '[^/]'
    return part.replace(/[\\^$.+()[\]{}|/]/g, '\\$&')
  })
  return new RegExp(`^${source}$`, 's')
}
