// Chooses the manifest of one platform out of an index. Source: image-spec image-index.md; variants as containerd ranks them.
import { ClientError } from '#client/client-error.ts'
import type { Descriptor, Platform } from '#oci/descriptor.ts'

/** The variant that is meant when none is written. */
const DEFAULT_VARIANTS: Record<string, string> = { arm: 'v7', arm64: 'v8' }
const ALIASES: Record<string, string> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  armhf: 'arm',
  i386: '386',
}

/** Parses `linux/amd64` or `linux/arm/v7`. @throws ClientError invalid */
export function parsePlatform(text: string): Platform {
  const [os = '', architecture = '', variant, ...rest] = text.toLowerCase().split('/')
  if (os === '' || architecture === '' || rest.length > 0) {
    throw new ClientError(
      'invalid',
      `${text} is not a platform: write os/architecture or os/architecture/variant`,
    )
  }
  return { os, architecture: ALIASES[architecture] ?? architecture, ...(variant ? { variant } : {}) }
}

export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant].filter(Boolean).join('/')
}

/** The best match: the same variant, or for arm the next lower one, which runs there too. Undefined when none runs. */
export function choosePlatform(manifests: readonly Descriptor[], wanted: Platform): Descriptor | undefined {
  let best: { readonly descriptor: Descriptor; readonly rank: number } | undefined
  for (const descriptor of manifests) {
    const { platform } = descriptor
    if (!platform || platform.os !== wanted.os || platform.architecture !== wanted.architecture) continue
    const rank = rankOf(platform, wanted)
    if (rank !== undefined && (!best || rank > best.rank)) best = { descriptor, rank }
  }
  return best?.descriptor
}

function rankOf(platform: Platform, wanted: Platform): number | undefined {
  const byDefault = DEFAULT_VARIANTS[wanted.architecture] ?? ''
  const has = platform.variant ?? byDefault
  const asked = wanted.variant ?? byDefault
  if (has === asked) return 1000
  if (wanted.architecture !== 'arm') return wanted.variant === undefined ? 0 : undefined
  const number = (variant: string) => Number(variant.replace('v', ''))
  return number(has) < number(asked) ? number(has) : undefined
}
