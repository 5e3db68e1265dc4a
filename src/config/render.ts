// Prints the effective configuration as a file would say it, with secrets masked.
import { stringify } from 'yaml'
import { writeSettings } from '#lib/settings/write.ts'
import { type Config, SCHEMA } from './schema.ts'

/** YAML that loads to the same configuration, but for what is masked. */
export function renderConfig(config: Config): string {
  const { database, ...rest } = config
  const isUnused = database.path === ':memory:' || database.url !== undefined
  const tree = writeSettings(
    SCHEMA,
    isUnused ? { ...rest, database: { ...database, path: undefined } } : config,
  )
  return stringify(tree, { schema: 'failsafe', customTags: ['null'], lineWidth: 0 })
}
