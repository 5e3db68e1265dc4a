// A registry as a whole: `host[:port]`, perhaps with a scheme.
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Address } from '#cli/registries.ts'

/** @throws CommandFailure usage */
export function parseRegistryAddress(text: string): Address {
  const [, scheme, rest = ''] = /^(?:(https?):\/\/)?(.*?)\/*$/.exec(text) ?? []
  const url = rest.includes('/') ? null : URL.parse(`https://${rest}`)
  if (url?.username !== '' || url.pathname !== '/' || url.search !== '' || rest === '') {
    throw new CommandFailure(EXIT.usage, `${text} is no registry: write host[:port]`)
  }
  const host = rest === 'index.docker.io' || rest === 'registry-1.docker.io' ? 'docker.io' : rest
  return { host, plainHttp: scheme === undefined ? undefined : scheme === 'http' }
}

/** Whether it names a registry rather than a repository of Docker Hub, by docker's own rule. */
export function looksLikeRegistry(text: string): boolean {
  const bare = text.replace(/^https?:\/\//, '').replace(/\/+$/, '')
  return !bare.includes('/') && (text.includes('://') || bare === 'localhost' || /[.:]/.test(bare))
}
