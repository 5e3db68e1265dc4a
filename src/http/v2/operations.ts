// Every operation of /v2/: what it may cost the caller in rights, and who handles it.
import type { Reply } from '#http/send.ts'
import { getBlob, headBlob, removeBlob } from '#http/v2/blobs.ts'
import type { Context } from '#http/v2/context.ts'
import { getCatalog, getReferrers, getTags } from '#http/v2/listings.ts'
import { getManifest, headManifest, putManifest, removeManifest } from '#http/v2/manifests.ts'
import type { Operation, Route } from '#http/v2/route.ts'
import { deleteUpload, getUpload, patchUpload, postUpload, putUpload } from '#http/v2/uploads.ts'
import type { Access, RepositoryAction } from '#identity/action.ts'

interface OperationRow {
  readonly needs: 'version' | 'catalog' | readonly RepositoryAction[]
  readonly handle: (context: Context) => Promise<Reply>
  /** Whether blobs or manifests go in or out: what limits of bytes are about. */
  readonly moves?: true
}

const PULL = ['pull'] as const
const PUSH = ['pull', 'push'] as const
const DELETE = ['delete'] as const

async function getVersion(): Promise<Reply> {
  return { status: 200, headers: { 'Content-Type': 'application/json' }, body: '{}' }
}

export const OPERATIONS: Readonly<Record<Operation, OperationRow>> = {
  version: { needs: 'version', handle: getVersion },
  'catalog.list': { needs: 'catalog', handle: getCatalog },
  'tags.list': { needs: PULL, handle: getTags },
  'manifest.get': { needs: PULL, handle: getManifest, moves: true },
  'manifest.head': { needs: PULL, handle: headManifest },
  'manifest.put': { needs: PUSH, handle: putManifest, moves: true },
  'manifest.delete': { needs: DELETE, handle: removeManifest },
  'blob.get': { needs: PULL, handle: getBlob, moves: true },
  'blob.head': { needs: PULL, handle: headBlob },
  'blob.delete': { needs: DELETE, handle: removeBlob },
  'referrers.list': { needs: PULL, handle: getReferrers },
  'upload.open': { needs: PUSH, handle: postUpload, moves: true },
  'upload.status': { needs: PUSH, handle: getUpload },
  'upload.append': { needs: PUSH, handle: patchUpload, moves: true },
  'upload.close': { needs: PUSH, handle: putUpload, moves: true },
  'upload.cancel': { needs: PUSH, handle: deleteUpload },
}

export function accessFor(route: Route): readonly Access[] {
  const { needs } = OPERATIONS[route.operation]
  if (needs === 'version' || needs === 'catalog') return [{ type: needs }]
  return [{ type: 'repository', name: route.name, actions: needs }]
}
