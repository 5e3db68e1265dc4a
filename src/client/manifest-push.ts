// Puts a manifest under a tag or its digest.
import { ClientError } from '#client/client-error.ts'
import { headerOf } from '#client/exchange.ts'
import type { ManifestContent } from '#client/place.ts'
import { manifestPath, nameOf, type RepositoryAccess } from '#client/registry-pull.ts'
import { repositoryScope } from '#client/scope.ts'
import { algorithmOf } from '#oci/digest.ts'
import type { Reference } from '#oci/reference.ts'

/** Returns what the registry says of the subject: it sends OCI-Subject when it keeps referrers itself. */
export async function putManifest(
  access: RepositoryAccess,
  manifest: ManifestContent,
  reference: Reference,
  signal: AbortSignal | undefined,
): Promise<{ readonly subjectTaken: boolean }> {
  const reply = await access.client.send({
    method: 'PUT',
    path: manifestPath(access, reference),
    scopes: [repositoryScope(access.repository, 'pull', 'push')],
    headers: { 'content-type': manifest.descriptor.mediaType },
    body: manifest.bytes,
    expect: [201, 200, 202],
    signal,
  })
  const said = headerOf(reply, 'docker-content-digest')
  if (
    said !== undefined &&
    algorithmOf(manifest.descriptor.digest) === 'sha256' &&
    said !== manifest.descriptor.digest
  ) {
    throw new ClientError(
      'corrupt',
      `${nameOf(access)} stored ${said} instead of ${manifest.descriptor.digest}`,
      {
        digest: manifest.descriptor.digest,
      },
    )
  }
  return { subjectTaken: headerOf(reply, 'oci-subject') !== undefined }
}
