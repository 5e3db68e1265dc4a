// Parses what people type for an image: `app`, `localhost:5000/app:1`, `ghcr.io/a/b@sha256:…`, `oci:folder:tag`.
// Source: distribution/reference, which docker stands on; prefixes as containers/image has them.
import { ClientError } from '#client/client-error.ts'
import { type Digest, isDigest, parseDigest } from '#oci/digest.ts'
import {
  isRepositoryName,
  isTag,
  parseTag,
  type Reference,
  type RepositoryName,
  type Tag,
} from '#oci/reference.ts'

export interface RegistryName {
  readonly kind: 'registry'
  /** `host[:port]`; `docker.io` when none was written. */
  readonly host: string
  readonly repository: RepositoryName
  readonly tag?: Tag
  /** Decides what is fetched when it is there; the tag is then only a name. */
  readonly digest?: Digest
}

export interface LocalName {
  /** `layout` is a folder; `oci-archive` and `docker-archive` are tar files. */
  readonly kind: 'layout' | 'oci-archive' | 'docker-archive'
  readonly path: string
  readonly tag?: Tag
  readonly digest?: Digest
  /** docker-archive alone: the name that the image has or gets in it. */
  readonly imageName?: string
}

export type ImageName = RegistryName | LocalName

const PREFIXES = {
  'oci:': 'layout',
  'oci-archive:': 'oci-archive',
  'docker-archive:': 'docker-archive',
} as const
const DOCKER_HUB = 'docker.io'
// A host name, an IPv4 address, or an IPv6 address in brackets; perhaps a port.
const HOST =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]{1,5})?$/
const NAME_LENGTH_MAX = 4096

/** @throws ClientError invalid */
export function parseImageName(text: string): ImageName {
  if (text.length > NAME_LENGTH_MAX) throw wrong(text, 'is too long')
  for (const [prefix, kind] of Object.entries(PREFIXES)) {
    if (text.startsWith(prefix)) return parseLocal(text, kind, text.slice(prefix.length))
  }
  return parseRegistryName(text.replace(/^docker:\/\//, ''))
}

/** @throws ClientError invalid */
export function parseRegistryName(text: string): RegistryName {
  const { rest: named, digest } = splitDigest(text)
  const slash = named.indexOf('/')
  const first = slash === -1 ? '' : named.slice(0, slash)
  // docker's rule: the first part is a host when it looks like no repository could.
  const hasHost = first === 'localhost' || /[.:A-Z[]/.test(first)
  const host = hasHost ? first : DOCKER_HUB
  const { rest: path, tag } = splitTag(hasHost ? named.slice(slash + 1) : named)
  if (!HOST.test(host)) throw wrong(text, `has ${host}, which is no host name`)
  const onHub = host === DOCKER_HUB || host === 'index.docker.io'
  const repository = onHub && !path.includes('/') ? `library/${path}` : path
  if (!isRepositoryName(repository)) {
    throw wrong(
      text,
      'has no valid repository name',
      'names are lower case: letters, digits, and . _ - / between them',
    )
  }
  return {
    kind: 'registry',
    host: onHub ? DOCKER_HUB : host,
    repository,
    ...(tag ? { tag } : {}),
    ...(digest ? { digest } : {}),
  }
}

/** What to ask the place for: the digest, else the tag, else `latest` for a registry and the only image elsewhere. */
export function referenceOf(name: ImageName): Reference | undefined {
  if (name.digest !== undefined) return { digest: name.digest }
  if (name.tag !== undefined) return { tag: name.tag }
  return name.kind === 'registry' ? { tag: parseTag('latest') } : undefined
}

/** The name in full, as it can be parsed again. */
export function formatImageName(name: ImageName): string {
  const suffix = `${name.tag ? `:${name.tag}` : ''}${name.digest ? `@${name.digest}` : ''}`
  if (name.kind === 'registry') return `${name.host}/${name.repository}${suffix}`
  const prefix = name.kind === 'layout' ? 'oci' : name.kind
  return `${prefix}:${name.path}${name.imageName ? `:${name.imageName}` : ''}${suffix}`
}

function parseLocal(text: string, kind: LocalName['kind'], after: string): LocalName {
  const { rest, digest } = splitDigest(after)
  // The path ends at the first colon, as with skopeo: a path that has one itself cannot be written.
  const colon = rest.indexOf(':')
  const path = colon === -1 ? rest : rest.slice(0, colon)
  if (path === '') throw wrong(text, 'has no path')
  const named = colon === -1 ? '' : rest.slice(colon + 1)
  const withDigest = digest ? { digest } : {}
  if (named === '') return { kind, path, ...withDigest }
  if (kind === 'docker-archive') {
    const { rest: imageName, tag } = splitTag(named)
    return { kind, path, imageName, tag: tag ?? parseTag('latest'), ...withDigest }
  }
  // Other tools write a whole name where we write a tag; what counts is the tag at its end.
  const tag = named.slice(named.lastIndexOf(':') + 1)
  if (!isTag(tag)) throw wrong(text, `has ${named}, which is no tag`)
  return { kind, path, tag, ...withDigest }
}

function splitDigest(text: string): { rest: string; digest?: Digest } {
  const at = text.indexOf('@')
  if (at === -1) return { rest: text }
  const digest = text.slice(at + 1)
  if (!isDigest(digest))
    throw wrong(text, 'has an invalid digest', 'write @sha256: and 64 hexadecimal digits')
  return { rest: text.slice(0, at), digest: parseDigest(digest) }
}

function splitTag(text: string): { rest: string; tag?: Tag } {
  const colon = text.lastIndexOf(':')
  if (colon === -1 || text.includes('/', colon)) return { rest: text }
  const tag = text.slice(colon + 1)
  if (!isTag(tag))
    throw wrong(text, 'has an invalid tag', 'a tag has at most 128 letters, digits, dots, dashes and _')
  return { rest: text.slice(0, colon), tag }
}

function wrong(text: string, what: string, hint?: string): ClientError {
  return new ClientError('invalid', `${text.slice(0, 200)} ${what}`, {
    hint:
      hint ?? 'write [host[:port]/]repository[:tag][@digest], oci:folder[:tag], or oci-archive:file[:tag]',
  })
}
