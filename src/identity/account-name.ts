// Names of users, robots and projects, and which project a repository belongs to.
import type { RepositoryName } from '#oci/reference.ts'

/** Repositories of one component belong to it, and keep their name. */
export const DEFAULT_PROJECT = 'library'

/** Said to who gives another one. */
export const PLAIN_NAME_RULE = 'has up to 64 lower-case letters and digits, with single . _ - between'

/** Neither `+`, which robots have, nor `:`. */
const PLAIN = /^(?=.{1,64}$)[a-z0-9]+(?:[._-][a-z0-9]+)*$/

export function isUserName(text: string): boolean {
  return PLAIN.test(text)
}

/** How many components the name of a project may have. */
export const PROJECT_DEPTH_MAX = 4

/** The first component of a repository's name, or as many as `depth` allows: `team`, `team/web`. */
export function isProjectName(text: string, depth = PROJECT_DEPTH_MAX): boolean {
  const components = text.split('/')
  return components.length <= depth && components.every((component) => PLAIN.test(component))
}

/** At most `depth` components, and never the last one: that is the repository's own. */
export function projectOf(repository: RepositoryName | string, depth: number): string {
  let end = -1
  for (let taken = 0; taken < depth; taken++) {
    const slash = repository.indexOf('/', end + 1)
    if (slash < 0) break
    end = slash
  }
  return end < 0 ? DEFAULT_PROJECT : repository.slice(0, end)
}

/** `team+ci`: the robot `ci` of the project `team`; `+backup` belongs to no project. */
export function robotName(project: string | undefined, name: string): string {
  return `${project ?? ''}+${name}`
}

export function isRobotName(text: string): boolean {
  const plus = text.indexOf('+')
  return plus >= 0 && isUserName(text.slice(plus + 1)) && (plus === 0 || isProjectName(text.slice(0, plus)))
}
