// Which addresses a descriptor may send clients to: distribution's validation.manifests.urls.
import type { Descriptor } from '#oci/descriptor.ts'
import { type Finding, quoted } from '#oci/findings.ts'

export interface UrlPolicy {
  /** An address must match one of these; none means any. */
  readonly allow: readonly RegExp[]
  /** An address must match none of these. */
  readonly deny: readonly RegExp[]
}

/**
 * Checks the `urls` of a descriptor. An unset policy allows every http and https address.
 * @param path JSON pointer of the descriptor
 */
export function checkUrls(descriptor: Descriptor, policy: UrlPolicy | undefined, path = ''): Finding[] {
  const findings: Finding[] = []
  for (const [index, address] of (descriptor.urls ?? []).entries()) {
    const problem = problemOf(address, policy)
    if (problem) findings.push({ path: `${path}/urls/${index}`, problem })
  }
  return findings
}

function problemOf(address: string, policy: UrlPolicy | undefined): string | undefined {
  const url = URL.parse(address)
  // The scheme is read from the text too: the URL parser trims and repairs what another reader may not.
  if (!url || !/^https?:\/\//i.test(address))
    return `must be an http or https address, not ${quoted(address)}`
  if (address.includes('#')) return `must not have a fragment: ${quoted(address)}`
  if (policy === undefined) return undefined
  const matches = (pattern: RegExp) => address.search(pattern) >= 0
  if (policy.allow.length > 0 && !policy.allow.some(matches))
    return `is not allowed by validation.manifests.urls.allow: ${quoted(address)}`
  if (policy.deny.some(matches)) return `is denied by validation.manifests.urls.deny: ${quoted(address)}`
  return undefined
}
