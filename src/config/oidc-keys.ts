// `auth.stowage.oidc`: OpenID providers whose people log in here.
import { listOf, mapOf, section } from '#lib/settings/node.ts'
import { duration, path, text } from '#lib/settings/values.ts'
import { PROVIDER_KEYS } from './provider-keys.ts'

const HOUR_MS = 3_600_000

export const isProviderName = (value: string) =>
  /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/.test(value)
    ? undefined
    : 'must be a short name of lower-case letters, digits and dashes'

export const isWebUrl = (value: string) => {
  const url = URL.parse(value)
  const isWeb = url !== null && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === ''
  return isWeb && url.username === '' ? undefined : 'must be a URL such as https://id.example.com'
}

export const OIDC = listOf(
  'OpenID providers whose people log in. Register `<address of the registry>/auth/oidc/callback` there.',
  section('', {
    name: text('Its name in addresses, such as `keycloak`.', {}, isProviderName),
    label: text('Its name for people. Default: `name`.'),
    issuer: text('Its URL, as its tokens say it.', {}, isWebUrl, 'URL'),
    clientid: text('What the provider calls this registry.'),
    clientsecret: text('The secret that the provider gave.', { secret: true }),
    clientsecretfile: path('A file that holds `clientsecret`.'),
    scopes: listOf(
      'What is asked for. With `offline_access`, changes of groups count at the next token; without it, at the next login.',
      text('A scope.', { initial: '' }),
      ['openid', 'profile', 'email'],
    ),
    parameters: mapOf('Sent along to the login page, such as `access_type: offline`.', text('A value.')),
    nameclaim: text('The claim with the name that a new user gets.', { initial: 'preferred_username' }),
    groupsclaim: text('The claim with the groups; `realm_access/roles` for one inside another.', {
      initial: 'groups',
    }),
    ...PROVIDER_KEYS,
    loginlife: duration('How long a login counts where the provider gave nothing to ask it with.', {
      initial: 720 * HOUR_MS,
    }),
  }),
)
