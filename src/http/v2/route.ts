// The endpoints below /v2/: which operation a method and a path mean. Names are parsed here, at the door.
import { parseRepositoryName, type RepositoryName } from '#oci/reference.ts'

export type Operation =
  | 'version'
  | 'catalog.list'
  | 'tags.list'
  | 'manifest.get'
  | 'manifest.head'
  | 'manifest.put'
  | 'manifest.delete'
  | 'blob.get'
  | 'blob.head'
  | 'blob.delete'
  | 'referrers.list'
  | 'upload.open'
  | 'upload.status'
  | 'upload.append'
  | 'upload.close'
  | 'upload.cancel'

export interface Route {
  readonly operation: Operation
  /** Empty for `version` and `catalog.list`. */
  readonly name: RepositoryName
  /** What stands last in the path, decoded: reference, digest or upload id; not yet parsed. */
  readonly rest: string
}

export type Match =
  | Route
  /** The path is known, the method is not. */
  | { readonly operation?: undefined; readonly allow: string }

type Methods = Readonly<Partial<Record<string, Operation>>>

const VERSION: Methods = { GET: 'version', HEAD: 'version' }
const CATALOG: Methods = { GET: 'catalog.list', HEAD: 'catalog.list' }
const TAGS: Methods = { GET: 'tags.list', HEAD: 'tags.list' }
const MANIFEST: Methods = {
  GET: 'manifest.get',
  HEAD: 'manifest.head',
  PUT: 'manifest.put',
  DELETE: 'manifest.delete',
}
const BLOB: Methods = { GET: 'blob.get', HEAD: 'blob.head', DELETE: 'blob.delete' }
const REFERRERS: Methods = { GET: 'referrers.list', HEAD: 'referrers.list' }
const UPLOADS: Methods = { POST: 'upload.open' }
const UPLOAD: Methods = {
  GET: 'upload.status',
  HEAD: 'upload.status',
  PATCH: 'upload.append',
  PUT: 'upload.close',
  DELETE: 'upload.cancel',
}

const NO_NAME = '' as RepositoryName

/**
 * Matches what stands behind `/v2/` in the path. A repository may itself have components such as `blobs`: the last one
 * that fits an endpoint counts.
 * @returns undefined for a path that is no endpoint
 * @throws OciError NAME_INVALID, also for a name with a percent sign: an encoded slash never becomes a real one
 */
export function matchRoute(method: string, path: string): Match | undefined {
  if (path === '') return choose(VERSION, method, NO_NAME, '')
  if (path === '_catalog') return choose(CATALOG, method, NO_NAME, '')
  if (path.endsWith('/tags/list')) return choose(TAGS, method, named(path.slice(0, -'/tags/list'.length)), '')
  const uploads = uploadsIn(path)
  if (uploads)
    return uploads.rest === ''
      ? choose(UPLOADS, method, named(uploads.name), '')
      : choose(UPLOAD, method, named(uploads.name), uploads.rest)
  const slash = path.lastIndexOf('/')
  if (slash < 0) return undefined
  const rest = decode(path.slice(slash + 1))
  for (const [marker, methods] of ENDPOINTS) {
    if (path.endsWith(marker, slash + 1))
      return choose(methods, method, named(path.slice(0, slash + 1 - marker.length)), rest)
  }
  return undefined
}

const ENDPOINTS: readonly (readonly [string, Methods])[] = [
  ['/manifests/', MANIFEST],
  ['/blobs/', BLOB],
  ['/referrers/', REFERRERS],
]

const UPLOADS_MARKER = '/blobs/uploads'

/** `<name>/blobs/uploads`, `<name>/blobs/uploads/` and `<name>/blobs/uploads/<id>`. */
function uploadsIn(path: string): { name: string; rest: string } | undefined {
  if (path.endsWith(UPLOADS_MARKER)) return { name: path.slice(0, -UPLOADS_MARKER.length), rest: '' }
  const slash = path.lastIndexOf('/')
  if (!path.endsWith(UPLOADS_MARKER, slash)) return undefined
  return { name: path.slice(0, slash - UPLOADS_MARKER.length), rest: decode(path.slice(slash + 1)) }
}

function choose(methods: Methods, method: string, name: RepositoryName, rest: string): Match {
  // Over HTTP/2 a method is any text, such as the name of something that every object inherits.
  const operation = Object.hasOwn(methods, method) ? methods[method] : undefined
  return operation ? { operation, name, rest } : { allow: Object.keys(methods).join(', ') }
}

function named(text: string): RepositoryName {
  return parseRepositoryName(text)
}

/** Decoded once; text that cannot be decoded stays, and is refused where it is parsed. */
function decode(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
