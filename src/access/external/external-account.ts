// An account of a provider as it tells us of it, and what of that counts here.
import type { SystemRole } from '#identity/role.ts'

/** Of one account; more are not looked at. */
export const GROUPS_MAX = 1_000
export const GROUP_CHARS_MAX = 512

export interface ExternalAccount {
  readonly issuer: string
  /** Never given to somebody else. */
  readonly subject: string
  /** What the user would be called here; taken when it is free. */
  readonly name: string
  readonly email: string | null
  readonly displayName: string | null
  /** As the provider calls them. */
  readonly groups: readonly string[]
}

/** Which groups of a provider are which here. */
export interface GroupMapping {
  /** The provider's name -> ours. Ours are made when they are missing. */
  readonly names: ReadonlyMap<string, string>
  /** Before the names of groups that are not mapped: they count where a group of that name was made here. */
  readonly prefix: string
  readonly admins: ReadonlySet<string>
  readonly auditors: ReadonlySet<string>
  /** Who is in none of them is not let in; empty for everyone. */
  readonly allowed: ReadonlySet<string>
}

export function mayComeIn({ groups }: ExternalAccount, { allowed }: GroupMapping): boolean {
  return allowed.size === 0 || groups.some((group) => allowed.has(group))
}

export function roleFrom({ groups }: ExternalAccount, mapping: GroupMapping): SystemRole | null {
  if (groups.some((group) => mapping.admins.has(group))) return 'admin'
  return groups.some((group) => mapping.auditors.has(group)) ? 'auditor' : null
}

/** Names of groups here: those to be made when they are missing, and those that count if they are there. */
export function groupsHere(
  { groups }: ExternalAccount,
  { names, prefix }: GroupMapping,
): { readonly mapped: readonly string[]; readonly found: readonly string[] } {
  const counted = groups.slice(0, GROUPS_MAX)
  const mapped = counted.flatMap((group) => names.get(group) ?? [])
  const found = counted.filter((group) => !names.has(group)).map((group) => prefix + group)
  return { mapped: [...new Set(mapped)], found: [...new Set(found)] }
}

/** What of a claim or an attribute are names of groups. */
export function groupNames(value: unknown): string[] {
  const list = Array.isArray(value) ? value : typeof value === 'string' ? [value] : []
  return list
    .filter(
      (name): name is string => typeof name === 'string' && name !== '' && name.length <= GROUP_CHARS_MAX,
    )
    .slice(0, GROUPS_MAX)
}
