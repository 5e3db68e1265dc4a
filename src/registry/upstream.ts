// The seam for whatever may supply content that the facts do not (yet) know: a tree that another program wrote, a proxy.
import type { Digest } from '#oci/digest.ts'
import type { Reference, RepositoryName } from '#oci/reference.ts'

/** Each method brings the facts up to date; the registry then looks again. */
export interface Upstream {
  readonly name: string
  /** Whether to ask, given that the facts have an answer or not. Called on every request: must be cheap. */
  wants(repository: RepositoryName, found: boolean): boolean
  manifest(repository: RepositoryName, reference: Reference): Promise<void>
  blob(repository: RepositoryName, digest: Digest): Promise<void>
  /** All tags and manifests of a repository, before tags or referrers are listed, or go with a manifest. */
  tags(repository: RepositoryName): Promise<void>
  /** All names, before they are listed. */
  repositories(): Promise<void>
}

/** Looks facts up, asking the upstreams that want to be asked, in order. */
export async function lookUp<T>(
  upstreams: readonly Upstream[],
  repository: RepositoryName,
  find: () => Promise<T | undefined>,
  ask: (upstream: Upstream) => Promise<void>,
): Promise<T | undefined> {
  let found = await find()
  for (const upstream of upstreams) {
    if (!upstream.wants(repository, found !== undefined)) continue
    await ask(upstream)
    found = await find()
  }
  return found
}
