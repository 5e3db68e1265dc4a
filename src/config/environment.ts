// The environment: the one place that reads it, for the configuration and for the commands that speak with registries.
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import type { ClientEnvironment } from '#cli/client-environment.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export const PREFIX = 'REGISTRY_'

/** REGISTRY_AUTH_FILE belongs to podman and skopeo; the version is that of the file's format. */
export const NOT_OVERRIDES: ReadonlySet<string> = new Set([
  'REGISTRY_AUTH_FILE',
  'REGISTRY_CONFIGURATION_PATH',
  'REGISTRY_VERSION',
])

export function processEnvironment(env: Environment = process.env): Environment {
  return env
}

/** The file to read when no argument names one. */
export function configurationPath(env: Environment): string | undefined {
  return env['REGISTRY_CONFIGURATION_PATH'] || undefined
}

/** Variables that replace parts of the configuration. */
export function overridesOf(env: Environment): Environment {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => name.startsWith(PREFIX) && !NOT_OVERRIDES.has(name)),
  )
}

/** Of the first admin, out of the variable or the file that it names; undefined leaves it to chance. */
export async function adminPassword(env: Environment = process.env): Promise<string | undefined> {
  const file = env['STOWAGE_ADMIN_PASSWORD_FILE']
  if (file) return (await readFile(file, 'utf8')).replace(/\r?\n$/, '')
  return env['STOWAGE_ADMIN_PASSWORD'] || undefined
}

/** What docker, podman and curl read too: proxies, authorities, and whether the reader wants colours. */
export function clientEnvironment(env: Environment = process.env): ClientEnvironment {
  const either = (name: string) => env[name.toLowerCase()] || env[name] || undefined
  return {
    home: env['HOME'] || homedir(),
    variables: env,
    proxy: {
      // A CGI program finds a header of its client in HTTP_PROXY: there only the lower case is trusted.
      http: env['http_proxy'] || (env['REQUEST_METHOD'] ? undefined : env['HTTP_PROXY']) || undefined,
      https: either('HTTPS_PROXY'),
      noProxy: either('NO_PROXY'),
    },
    authoritiesFile: env['SSL_CERT_FILE'] || undefined,
    colors: !env['NO_COLOR'] && env['TERM'] !== 'dumb',
  }
}
