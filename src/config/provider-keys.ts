// What providers of accounts have in common: which of their groups are which here, and how long their word counts.
import { listOf, mapOf } from '#lib/settings/node.ts'
import { duration, flag, text } from '#lib/settings/values.ts'

const HOUR_MS = 3_600_000

const group = text('A group, as the provider calls it.', { initial: '' })
const PLAIN = /^(?=.{1,64}$)[a-z0-9]+(?:[._-][a-z0-9]+)*$/

export const PROVIDER_KEYS = {
  groups: mapOf(
    "Which of the provider's groups is which group here. Ours are made when they are missing.",
    text('A group here.', {}, (value) =>
      PLAIN.test(value)
        ? undefined
        : 'must be the name of a group: lower-case letters and digits, with single . _ - between',
    ),
  ),
  groupprefix: text(
    'Stands before the names of groups that are not mapped; they count where a group of that name is there.',
    { initial: '' },
  ),
  admingroups: listOf('Members of these are admins of the registry.', group),
  auditorgroups: listOf('Members of these are auditors of the registry.', group),
  allowedgroups: listOf('Only members of these are let in. Default: everyone.', group),
  provision: flag(
    'Makes a user for everyone who comes for the first time. Otherwise an admin links accounts to users.',
    {
      initial: true,
    },
  ),
  recheck: duration('How long what the provider said counts before it is asked again.', {
    initial: 300_000,
  }),
  grace: duration('The same while the provider cannot be reached.', { initial: 24 * HOUR_MS }),
} as const
