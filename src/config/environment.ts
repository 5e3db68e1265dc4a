// The environment, as far as it speaks of the configuration: the one place that reads it.

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
