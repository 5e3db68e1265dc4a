// /v2/<name>/blobs/uploads/ and /v2/<name>/blobs/uploads/<id>
import { contentLength } from '#http/body.ts'
import type { Reply } from '#http/send.ts'
import type { Context } from '#http/v2/context.ts'
import { warningHeader } from '#http/v2/warning-header.ts'
import { mayRead } from '#identity/readable.ts'
import { type ContentRange, parseContentRange } from '#lib/content-range.ts'
import { parseAlgorithm, parseDigest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import { isRepositoryName } from '#oci/reference.ts'
import { mountBlob, type StoredBlob } from '#registry/blobs.ts'
import { rangeHeader, type UploadBody } from '#registry/upload-bytes.ts'
import {
  appendToUpload,
  cancelUpload,
  closeUpload,
  openUpload,
  type UploadStatus,
  uploadStatus,
  uploadWhole,
} from '#registry/uploads.ts'

/** POST: mounts a blob, takes a whole one (`?digest=`), or opens a session. */
export async function postUpload(context: Context): Promise<Reply> {
  const { registry, caller, route, query } = context
  const mount = query.get('mount')
  if (mount !== null) {
    const mounted = await tryMount(context, mount)
    if (mounted) return created(context, mounted)
  }
  const digest = query.get('digest')
  if (digest !== null && mount === null) {
    return created(
      context,
      await uploadWhole(registry, caller, route.name, parseDigest(digest), bodyOf(context)),
    )
  }
  const algorithm = parseAlgorithm(query.get('digest-algorithm') ?? 'sha256')
  return accepted(context, await openUpload(registry, caller, route.name, algorithm), 202)
}

/** A source that is no name, does not exist or has no such blob is no error: the client uploads instead. */
async function tryMount({ registry, caller, route, query, mountSources }: Context, mount: string) {
  const from = query.get('from')
  const digest = parseDigest(mount)
  const sources = await mountSources()
  if (from === null || from === '') return mountBlob(registry, caller, route.name, digest, { among: sources })
  if (!isRepositoryName(from) || !mayRead(sources, from)) return undefined
  return mountBlob(registry, caller, route.name, digest, { from })
}

export async function getUpload(context: Context): Promise<Reply> {
  const { registry, caller, route } = context
  return accepted(context, await uploadStatus(registry, caller, route.name, route.rest), 204)
}

export async function patchUpload(context: Context): Promise<Reply> {
  const { registry, caller, route } = context
  const status = await appendToUpload(registry, caller, route.name, route.rest, bodyOf(context))
  return accepted(context, status, 202)
}

export async function putUpload(context: Context): Promise<Reply> {
  const { registry, caller, route, query } = context
  const digest = query.get('digest')
  if (digest === null) throw new OciError('DIGEST_MISSING')
  const body = bodyOf(context)
  const stored = await closeUpload(registry, caller, route.name, route.rest, parseDigest(digest), body)
  return created(context, stored)
}

export async function deleteUpload({ registry, caller, route }: Context): Promise<Reply> {
  await cancelUpload(registry, caller, route.name, route.rest)
  return { status: 204, headers: {} }
}

function bodyOf({ request, body }: Context): UploadBody {
  return { source: body, length: contentLength(request), range: rangeOf(request.headers['content-range']) }
}

/** @throws OciError RANGE_INVALID for a header that says nothing */
function rangeOf(header: string | undefined): ContentRange | undefined {
  if (header === undefined) return undefined
  const range = parseContentRange(header)
  if (range) return range
  throw new OciError('RANGE_INVALID', {
    message: 'the Content-Range is malformed: send <first byte>-<last byte>',
    detail: { contentRange: header.slice(0, 100) },
  })
}

function accepted(context: Context, { id, offset }: UploadStatus, status: number): Reply {
  const { links, request, route } = context
  return {
    status,
    headers: {
      Location: links.v2(request, `${route.name}/blobs/uploads/${id}`),
      'Docker-Upload-UUID': id,
      Range: rangeHeader(offset),
    },
  }
}

function created(context: Context, { digest, warnings = [] }: StoredBlob): Reply {
  const { links, request, route } = context
  context.digest = digest
  return {
    status: 201,
    headers: {
      Location: links.v2(request, `${route.name}/blobs/${digest}`),
      'Docker-Content-Digest': digest,
      ...warningHeader(warnings),
    },
  }
}
