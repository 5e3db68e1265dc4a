// Which repositories of a place are meant: by name, by pattern, by a list in a file, or all.
import { readFile } from 'node:fs/promises'
import { asUsage } from '#cli/image-text.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { ReadableCollection } from '#client/collection.ts'
import { globMatcher } from '#lib/glob.ts'
import { parseRepositoryName, type RepositoryName } from '#oci/reference.ts'

export interface RepositoryChoice {
  /** Names, or patterns with `*` and `**`. */
  readonly patterns: readonly string[]
  readonly all: boolean
  /** A file with one name or pattern a line; lines that begin with # say nothing. */
  readonly listFile: string | undefined
  readonly exclude: readonly string[]
}

/** Sorted, each once. @throws CommandFailure */
export async function chooseRepositories(
  collection: ReadableCollection,
  choice: RepositoryChoice,
  signal: AbortSignal,
): Promise<RepositoryName[]> {
  const listed = choice.listFile === undefined ? [] : await readList(choice.listFile)
  const wanted = [...choice.patterns, ...listed]
  if (wanted.length === 0 && !choice.all) {
    throw new CommandFailure(EXIT.usage, 'no repository is named', {
      hint: 'name repositories or patterns such as "team/**", give a file with --list, or say --all',
    })
  }
  const found = new Set<RepositoryName>()
  const patterns = choice.all ? [globMatcher('**')] : []
  for (const text of wanted) {
    if (/[*?]/.test(text)) patterns.push(globMatcher(text))
    else found.add(asUsage(() => parseRepositoryName(text)))
  }
  // A name alone needs no catalog, which not every registry shows.
  if (patterns.length > 0) {
    for await (const name of collection.repositories({ signal }))
      if (patterns.some((matches) => matches(name))) found.add(name)
  }
  const excluded = choice.exclude.map(globMatcher)
  const names = [...found].filter((name) => !excluded.some((matches) => matches(name))).sort()
  if (names.length === 0 && wanted.length > 0)
    throw new CommandFailure(EXIT.notFound, `${collection.label} has no repository that matches`)
  return names
}

async function readList(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8')
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}
