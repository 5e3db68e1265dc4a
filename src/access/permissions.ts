// What a robot or an API key was given: rights on repositories whose names match a pattern.
import { z } from 'zod'
import { RIGHTS, type Right } from '#identity/role.ts'
import { matchesGlob } from '#lib/glob.ts'
import type { RepositoryName } from '#oci/reference.ts'

export const PERMISSIONS_MAX = 50
const PATTERN_CHARS_MAX = 255

export const repositoryPattern = z
  .string()
  .max(PATTERN_CHARS_MAX)
  .regex(
    /^[a-z0-9._/*?-]+$/,
    'must be a repository name, in which * stands within a part and ** across parts',
  )

export const rightsSchema = z.array(z.enum(RIGHTS as [Right, ...Right[]])).min(1)

export const permissionSchema = z.strictObject({ repository: repositoryPattern, rights: rightsSchema })

export const permissionsSchema = z.array(permissionSchema).max(PERMISSIONS_MAX)

export type Permission = z.infer<typeof permissionSchema>

/** Out of the database. What cannot be read permits nothing. */
export function parsePermissions(json: string): readonly Permission[] {
  try {
    return permissionsSchema.parse(JSON.parse(json))
  } catch {
    return []
  }
}

export function permittedRights(permissions: readonly Permission[], repository: RepositoryName): Set<Right> {
  const rights = new Set<Right>()
  for (const { repository: pattern, rights: given } of permissions) {
    if (matchesGlob(pattern, repository)) for (const right of given) rights.add(right)
  }
  return rights
}
