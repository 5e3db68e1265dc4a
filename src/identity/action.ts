// What somebody asks to do with a repository or the registry.
import type { RepositoryName } from '#oci/reference.ts'

export type RepositoryAction = 'pull' | 'push' | 'delete'

export type Access =
  | {
      readonly type: 'repository'
      readonly name: RepositoryName
      readonly actions: readonly RepositoryAction[]
    }
  | { readonly type: 'catalog' }
  | { readonly type: 'version' }
