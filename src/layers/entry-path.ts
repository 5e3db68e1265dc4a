// Names from an archive, parsed once: below here a path is a list of plain parts that cannot lead upwards.
import { LayerError, printable } from '#layers/layer-error.ts'
import type { LayerLimits } from '#layers/limits.ts'

/** Parts of a path below the root; none is "", ".", ".." or holds "/" or NUL. No parts: the root itself. */
export type PathParts = readonly string[]

function refused(name: string, why: string): LayerError {
  return new LayerError('PATH_REFUSED', `the layer holds a name that ${why}: ${printable(name)}`, {
    detail: { name: printable(name) },
  })
}

/** @throws LayerError LIMIT_PASSED, or PATH_REFUSED for NUL */
export function checkName(name: string, limits: LayerLimits): void {
  if (Buffer.byteLength(name) > limits.pathBytesMax)
    throw new LayerError(
      'LIMIT_PASSED',
      `a name is longer than pathBytesMax = ${limits.pathBytesMax} bytes`,
      {
        detail: { limit: 'pathBytesMax', name: printable(name) },
      },
    )
  if (name.includes('\0')) throw refused(name, 'holds a NUL')
}

/**
 * The name of an entry, or the target of a hard link. A leading "/" means the root of the image, as engines read it.
 * @throws LayerError PATH_REFUSED for a name that leaves the root by "..", LIMIT_PASSED
 */
export function parseEntryPath(name: string, limits: LayerLimits): PathParts {
  checkName(name, limits)
  const parts: string[] = []
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) throw refused(name, 'leads outside the root')
  }
  checkDepth(parts.length, name, limits)
  return parts
}

/** @throws LayerError LIMIT_PASSED */
export function checkDepth(depth: number, name: string, limits: LayerLimits): void {
  // The last part is the file itself; the limit counts the folders above it.
  if (depth - 1 <= limits.pathDepthMax) return
  throw new LayerError('LIMIT_PASSED', `a path has more than pathDepthMax = ${limits.pathDepthMax} folders`, {
    detail: { limit: 'pathDepthMax', name: printable(name) },
  })
}

export type Whiteout =
  /** Hides one name of the layers below. */
  | { readonly hides: string }
  /** Hides all that the layers below have in its folder. */
  | 'opaque'
  /** What aufs kept for itself (`.wh..wh.plnk` and the like): nothing to do. */
  | 'ignored'

const PREFIX = '.wh.'
const META_PREFIX = '.wh..wh.'
const OPAQUE = '.wh..wh..opq'

/**
 * Source: image-spec layer.md, "Whiteouts". Undefined for an ordinary entry.
 * @throws LayerError PATH_REFUSED for a whiteout of nothing, "." or "..", and for anything inside a whiteout
 */
export function parseWhiteout(parts: PathParts): Whiteout | undefined {
  const name = parts.at(-1)
  if (name === undefined) return undefined
  if (parts.slice(0, -1).some((part) => part.startsWith(PREFIX)))
    throw refused(parts.join('/'), 'goes through a whiteout')
  if (name === OPAQUE) return 'opaque'
  if (name.startsWith(META_PREFIX)) return 'ignored'
  if (!name.startsWith(PREFIX)) return undefined
  const hides = name.slice(PREFIX.length)
  if (hides === '' || hides === '.' || hides === '..')
    throw refused(parts.join('/'), 'whites out a folder itself')
  return { hides }
}
