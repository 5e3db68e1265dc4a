// From a file and the environment to the effective configuration. Everything that is wrong is said at once.
import { resolve } from 'node:path'
import { deepFreeze } from '#lib/deep-freeze.ts'
import { overrideFromEnvironment } from '#lib/environment-override.ts'
import type { ValueOf } from '#lib/settings/node.ts'
import { shapeOf } from '#lib/settings/outline.ts'
import { type Remark, readSettings } from '#lib/settings/read.ts'
import { isTreeMap, type Tree } from '#lib/yaml-tree.ts'
import { ConfigError } from './config-error.ts'
import {
  configurationPath,
  type Environment,
  overridesOf,
  PREFIX,
  processEnvironment,
} from './environment.ts'
import { readConfigFile } from './file.ts'
import { contradictionsOf, idleSettingsOf, refusalsOf } from './refusals.ts'
import { type Config, SCHEMA } from './schema.ts'
import { keySuggestion, variableSuggestion } from './suggestions.ts'

export interface LoadOptions {
  /** The argument of the command; without it REGISTRY_CONFIGURATION_PATH, and without that the built-in configuration. */
  readonly file?: string | undefined
  readonly env?: Environment
  /** Where relative paths start. */
  readonly cwd: string
}

export type ConfigSource = { readonly kind: 'file'; readonly path: string } | { readonly kind: 'built-in' }

export interface LoadedConfig {
  readonly config: Config
  /** Sentences for the log. */
  readonly warnings: readonly string[]
  readonly source: ConfigSource
}

/** What runs when nobody says anything: a folder named `data`, and deleting allowed. */
const BUILT_IN: Tree = {
  version: '0.1',
  storage: { filesystem: { rootdirectory: 'data' }, delete: { enabled: 'true' } },
}

/** @throws ConfigError */
export async function loadConfig({
  file,
  env = processEnvironment(),
  cwd,
}: LoadOptions): Promise<LoadedConfig> {
  const named = file ?? configurationPath(env)
  const source: ConfigSource =
    named === undefined ? { kind: 'built-in' } : { kind: 'file', path: resolve(cwd, named) }
  const read = source.kind === 'file' ? await readConfigFile(source.path) : { tree: BUILT_IN, repeated: [] }
  const name = source.kind === 'file' ? source.path : 'the built-in configuration'
  const { config, warnings, problems } = resolveConfig(read.tree, env, cwd)
  if (problems.length > 0) throw new ConfigError(name, problems)
  const repeated = read.repeated.map(
    (key) => `${key} is written more than once in ${name}: the last one counts`,
  )
  return { config: deepFreeze(config), warnings: [...repeated, ...warnings], source }
}

function resolveConfig(written: Tree, env: Environment, cwd: string) {
  const overridden = overrideFromEnvironment(written, shapeOf(SCHEMA), overridesOf(env), PREFIX)
  const tree = withoutOldNames(overridden.tree)
  const reading = readSettings<typeof SCHEMA>(SCHEMA, tree, { cwd })
  const config = finished(reading.value)
  const sentence = ({ path, text }: Remark) => `${path} ${text}${setBy(path, overridden.origins)}`

  const isChoice = (path: string) => /^(storage|auth)\.[^.]+$/.test(path)
  const found = [
    ...versionRefusals(written),
    ...refusalsOf(tree),
    ...reading.problems,
    ...reading.strays.filter(isChoice).map(unknownChoice),
  ]
  // A value that could not be read stands at its default: judging it as well would say the same twice.
  const contradictions = contradictionsOf(config).filter(
    (one) => !found.some(({ path }) => path === one.path),
  )
  return {
    config,
    problems: [...overridden.problems, ...[...found, ...contradictions].map(sentence)],
    warnings: [
      ...overridden.ignored.map(ignoredVariable),
      ...(env['REGISTRY_VERSION'] === undefined
        ? []
        : ['REGISTRY_VERSION has no effect: the version is that of the format of the file']),
      ...reading.strays
        .filter((path) => !isChoice(path))
        .map((path) => strayKey(path) + setBy(path, overridden.origins)),
      ...[...reading.warnings, ...idleSettingsOf(config)].map(sentence),
    ],
  }
}

function versionRefusals(tree: Tree): Remark[] {
  const version = isTreeMap(tree) && Object.hasOwn(tree, 'version') ? tree['version'] : undefined
  if (version !== undefined && version !== null) return []
  return [{ path: 'version', text: 'is missing: the file must say version: 0.1' }]
}

/** `loglevel` is `log.level` by its old name, and yields to it. */
function withoutOldNames(tree: Tree): Tree {
  if (!isTreeMap(tree) || typeof tree['loglevel'] !== 'string') return tree
  const { loglevel, log = null, ...rest } = tree
  if (log !== null && !isTreeMap(log)) return tree
  const isNamed = log?.['level'] !== undefined && log['level'] !== null && log['level'] !== ''
  return { ...rest, log: isNamed ? log : { ...log, level: loglevel } }
}

function finished(values: ValueOf<typeof SCHEMA>): Config {
  const { filesystem, s3, tree = !(s3 && values.database.url !== undefined) } = values.storage
  // With a bucket there is no beside: refusals.ts asks for a path.
  const elsewhere = s3 ? '' : ':memory:'
  const beside = filesystem ? resolve(filesystem.rootdirectory, 'stowage', 'registry.sqlite') : elsewhere
  const { enabled, disabled } = values.validation
  return {
    ...values,
    storage: { ...values.storage, tree },
    database: { ...values.database, path: values.database.path ?? beside },
    http: { ...values.http, prefix: `/${values.http.prefix}/`.replaceAll(/\/{2,}/g, '/') },
    validation: { ...values.validation, disabled: disabled && !enabled },
  }
}

function unknownChoice(path: string): Remark {
  const what = path.startsWith('auth.') ? 'kind of authentication' : 'storage driver'
  const near = keySuggestion(path)
  return {
    path,
    text: `is not a ${what} that Stowage knows${near === undefined ? '' : `: did you mean ${near}?`}`,
  }
}

function strayKey(path: string): string {
  const near = keySuggestion(path)
  return `${path} is not a key that Stowage knows${near === undefined ? ', and has no effect' : `: did you mean ${near}?`}`
}

function ignoredVariable(name: string): string {
  const near = variableSuggestion(name)
  return `${name} is not a variable that Stowage knows${near === undefined ? ', and has no effect' : `: did you mean ${near}?`}`
}

/** Names the variable that set a path, something above it or, failing that, below it. */
function setBy(path: string, origins: ReadonlyMap<string, string>): string {
  const steps = path.replaceAll('[', '.').replaceAll(']', '').split('.')
  for (let length = steps.length; length > 0; length--) {
    const name = origins.get(steps.slice(0, length).join('.'))
    if (name !== undefined) return ` (set by ${name})`
  }
  for (const [below, name] of origins) if (below.startsWith(`${path}.`)) return ` (set by ${name})`
  return ''
}
