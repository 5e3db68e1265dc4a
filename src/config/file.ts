// Reads a configuration file, bounded.
import { open } from 'node:fs/promises'
import { parseYamlTree, YamlError, type YamlTree } from '#lib/yaml-tree.ts'
import { ConfigError } from './config-error.ts'

const CONFIG_BYTES_MAX = 1024 * 1024

const CAUSES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not read it',
  EISDIR: 'it is a folder',
}

/** @throws ConfigError with the line of a mistake in the YAML */
export async function readConfigFile(path: string): Promise<YamlTree> {
  const bytes = await readBounded(path)
  if (bytes.length > CONFIG_BYTES_MAX) {
    throw new ConfigError(path, [`it is larger than ${CONFIG_BYTES_MAX} bytes and cannot be a configuration`])
  }
  try {
    return parseYamlTree(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    if (error instanceof YamlError) throw new ConfigError(path, [error.message], { cause: error })
    throw new ConfigError(path, ['it is not UTF-8 text'], { cause: error })
  }
}

async function readBounded(path: string): Promise<Uint8Array> {
  try {
    await using file = await open(path)
    const bytes = new Uint8Array(CONFIG_BYTES_MAX + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length)
      length += bytesRead
      if (bytesRead === 0 || length === bytes.length) return bytes.subarray(0, length)
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const why = CAUSES[code] ?? (error instanceof Error ? error.message : String(error))
    throw new ConfigError(path, [`cannot be read: ${why}`], { cause: error })
  }
}
