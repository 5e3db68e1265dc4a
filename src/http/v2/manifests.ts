// /v2/<name>/manifests/<reference>

import type { ManifestRecord } from '#db/manifests.ts'
import { collectBody, contentLength } from '#http/body.ts'
import type { Reply } from '#http/send.ts'
import type { Context } from '#http/v2/context.ts'
import { warningHeader } from '#http/v2/warning-header.ts'
import { bareMediaType } from '#oci/bare-media-type.ts'
import { OciError } from '#oci/errors.ts'
import { isIndexType } from '#oci/media-types.ts'
import { parseReference, parseTag } from '#oci/reference.ts'
import { deleteManifest, findManifestIn, pushManifest, readManifest } from '#registry/manifests.ts'
import { MANIFEST_BYTES_MAX } from '#registry/registry.ts'
import type { Missing } from '#registry/validate-manifest.ts'

/** `?tag=` parameters in one push. The specification asks for at least 10. */
const TAGS_PER_PUSH_MAX = 100

export async function getManifest(context: Context): Promise<Reply> {
  const { registry, route, request, limits, caller } = context
  const reference = parseReference(route.rest)
  const { manifest, bytes } = await readManifest(registry, route.name, reference)
  if (matches(request.headers['if-none-match'], manifest.digest)) {
    recordPull(context, manifest, reference.tag)
    return notModified(manifest)
  }
  const headers = describe(manifest)
  // An index is fetched to find an image; only the image counts.
  if (limits)
    Object.assign(headers, isIndexType(manifest.mediaType) ? limits.pullsLeft(caller) : limits.pulled(caller))
  recordPull(context, manifest, reference.tag)
  return { status: 200, headers, body: bytes }
}

export async function headManifest(context: Context): Promise<Reply> {
  const { registry, route, request, limits, caller } = context
  const reference = parseReference(route.rest)
  const manifest = await findManifestIn(registry, route.name, reference)
  recordPull(context, manifest, reference.tag)
  if (matches(request.headers['if-none-match'], manifest.digest)) return notModified(manifest)
  return { status: 200, headers: { ...describe(manifest), ...limits?.pullsLeft(caller) } }
}

/** A manifest may be of any type, also of one that a browser shows as a page of ours: it is to run nothing of it. */
const NO_PAGE = { 'Content-Security-Policy': "default-src 'none'; sandbox" }

function describe({ mediaType, digest, size }: ManifestRecord) {
  return {
    ...(!mediaType.endsWith('json') && NO_PAGE),
    'Content-Type': mediaType,
    'Content-Length': size,
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
  }
}

function notModified({ digest }: ManifestRecord): Reply {
  return { status: 304, headers: { 'Docker-Content-Digest': digest, ETag: `"${digest}"` } }
}

/** A list of entity tags, quoted or bare, weak or not. */
export function matches(ifNoneMatch: string | undefined, digest: string): boolean {
  return ifNoneMatch !== undefined && (ifNoneMatch.trim() === '*' || ifNoneMatch.includes(digest))
}

/** A HEAD of a manifest is a pull too: containerd and docker resolve tags with it. */
function recordPull(context: Context, manifest: ManifestRecord, tag: string | undefined): void {
  const { registry, route, caller } = context
  const { digest, mediaType } = manifest
  context.digest = digest
  context.afterReply = (size, durationMs) =>
    registry.reads.add(
      'manifest.pulled',
      { repository: route.name, digest, tag, mediaType, size, durationMs },
      caller,
    )
}

export async function putManifest(context: Context): Promise<Reply> {
  const { registry, route, request, query, caller, links, body } = context
  const reference = parseReference(route.rest)
  const tags = query.getAll('tag').map(parseTag)
  if (tags.length > TAGS_PER_PUSH_MAX) {
    throw new OciError('REQUEST_INVALID', { detail: { tags: tags.length, limit: TAGS_PER_PUSH_MAX } })
  }
  if (tags.length > 0 && reference.tag !== undefined) {
    throw new OciError('REQUEST_INVALID', { detail: 'the query parameter tag goes with a push by digest' })
  }
  if ((contentLength(request) ?? 0) > MANIFEST_BYTES_MAX) {
    throw new OciError('MANIFEST_TOO_LARGE', { detail: { limitBytes: MANIFEST_BYTES_MAX } })
  }
  const bytes = await collectBody(body, MANIFEST_BYTES_MAX, 'MANIFEST_TOO_LARGE')
  const mediaType = bareMediaType(request.headers['content-type'] ?? '')
  const pushed = await pushManifest(registry, caller, route.name, reference, { mediaType, bytes, tags })
  context.digest = pushed.digest
  return {
    status: 201,
    headers: {
      Location: links.v2(request, `${route.name}/manifests/${pushed.digest}`),
      'Docker-Content-Digest': pushed.digest,
      ...(pushed.subject !== undefined && { 'OCI-Subject': pushed.subject }),
      ...(tags.length > 0 && { 'OCI-Tag': pushed.tags.join(', ') }),
      ...warningHeader([
        ...(pushed.missing.length > 0 ? [missingWarning(pushed.missing)] : []),
        ...pushed.warnings,
      ]),
    },
  }
}

function missingWarning(missing: readonly Missing[]): string {
  const more = missing.length > 1 ? ` and ${missing.length - 1} more` : ''
  return `accepted as a sparse manifest: ${missing[0]?.digest}${more} not in this repository`
}

export async function removeManifest({ registry, caller, route }: Context): Promise<Reply> {
  await deleteManifest(registry, caller, route.name, parseReference(route.rest))
  return { status: 202, headers: {} }
}
