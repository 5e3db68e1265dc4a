// Tags that stand for what belongs to an image: signatures as cosign made them first, and referrers of registries without that
// API. They stay and go with their image.
import type { GraphManifest, RepositoryGraph } from '#db/repository-graph.ts'

/** `sha256-<hex>`, or with what it is: `.sig`, `.att`, `.sbom`. */
const COMPANION = /^(sha256|sha512)-([0-9a-f]{64}|[0-9a-f]{128})(\.[a-z]+)?$/
const SIGNATURE_TYPES: readonly string[] = [
  'application/vnd.dev.cosign.artifact.sig.v1+json',
  'application/vnd.cncf.notary.signature',
]
/** Sigstore's bundles, whatever their version. */
const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle'

/** The digest of the image that a tag belongs to; undefined for one that stands for itself. */
export function companionOf(tag: string): string | undefined {
  const [, algorithm, hex] = COMPANION.exec(tag) ?? []
  return algorithm === undefined ? undefined : `${algorithm}:${hex}`
}

/** Digests of what has a signature, as a referrer or by a tag. */
export function signedDigests({ manifests, tags }: RepositoryGraph): ReadonlySet<string> {
  const signed = new Set<string>()
  for (const manifest of manifests)
    if (manifest.subject !== null && isSignature(manifest)) signed.add(manifest.subject)
  for (const { name } of tags) {
    const subject = name.endsWith('.sig') ? companionOf(name) : undefined
    if (subject !== undefined) signed.add(subject)
  }
  return signed
}

function isSignature({ artifactType }: GraphManifest): boolean {
  return (
    artifactType !== null && (SIGNATURE_TYPES.includes(artifactType) || artifactType.startsWith(BUNDLE_TYPE))
  )
}
