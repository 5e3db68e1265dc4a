// What somebody may read. Decided by name alone, so that asking tells nothing about what exists.
import type { RepositoryName } from '#oci/reference.ts'

export type Readable = 'everything' | ((name: RepositoryName) => boolean)

export function mayRead(readable: Readable, name: RepositoryName): boolean {
  return readable === 'everything' || readable(name)
}
