// `auth.stowage.federation`: issuers whose jobs log in with the token of their own identity.
import { listOf, mapOf, section } from '#lib/settings/node.ts'
import { duration, path, text } from '#lib/settings/values.ts'
import { isProviderName, isWebUrl } from './oidc-keys.ts'

const HOUR_MS = 3_600_000

export const FEDERATION = section(
  'Jobs (GitHub Actions, GitLab, Kubernetes) that log in with the token of their own identity, and speak for a robot.',
  {
    issuers: listOf(
      'Who is believed. Rules can name no other.',
      section('', {
        name: text('Its name in rules, such as `github`.', {}, isProviderName),
        issuer: text('Its URL, as its tokens say it in `iss`, to the letter.', {}, isWebUrl, 'URL'),
        audience: text(
          'What its tokens must say in `aud`: a name of this registry that no other service has, such as its host.',
        ),
        jwks: path(
          'Its public keys, as a JSON Web Key Set, where it cannot be asked for them. Read at the start.',
        ),
      }),
    ),
    rules: listOf(
      'Whose jobs speak for which robot, beside the rules that are made through the API.',
      section('', {
        robot: text('The robot, as it logs in: `team+ci`.'),
        issuer: text('The `name` of an issuer.'),
        claims: mapOf(
          'What each claim must be. `*` stays within a part between slashes, `**` crosses them.',
          text('A pattern.'),
        ),
      }),
    ),
    maxage: duration('A token that was issued longer ago is refused, however long it is good for.', {
      initial: HOUR_MS,
    }),
  },
)
