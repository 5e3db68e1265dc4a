// A secret of the configuration: written there, or in a file of its own.
import { readFile } from 'node:fs/promises'

export interface SecretSource {
  /** The key of the configuration, for sentences. */
  readonly key: string
  readonly value: string | undefined
  readonly file: string | undefined
}

/** Without the line break that editors leave at the end. @throws Error that names the key when the file cannot be read, or is empty */
export async function readSecret({ key, value, file }: SecretSource): Promise<string> {
  if (file === undefined) return value ?? ''
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new Error(`${key}file: ${error.message}`, { cause: error })
  })
  const secret = text.replace(/\r?\n$/, '')
  if (secret === '') throw new Error(`${key}file: ${file} is empty`)
  return secret
}
