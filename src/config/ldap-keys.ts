// `auth.stowage.ldap`: a directory whose people log in with their own passwords.
import { optionalSection } from '#lib/settings/node.ts'
import { duration, flag, path, text } from '#lib/settings/values.ts'
import { isProviderName } from './oidc-keys.ts'
import { PROVIDER_KEYS } from './provider-keys.ts'

const attribute = (about: string, initial: string) =>
  text(about, { initial }, (value) =>
    /^[A-Za-z0-9;.-]{0,100}$/.test(value) ? undefined : 'must be the name of an attribute',
  )

export const LDAP = optionalSection(
  'An LDAP directory whose people log in with the passwords they have there.',
  {
    name: text('Its name, for linking accounts.', { initial: 'ldap' }, isProviderName),
    url: text(
      'Where it is: `ldaps://ldap.example.com`, or `ldap://` with `starttls`.',
      {},
      (value) =>
        /^ldaps?:\/\/(?:[^\s/?#@[\]:]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i.test(value)
          ? undefined
          : 'must be a URL such as ldaps://ldap.example.com',
      'URL',
    ),
    starttls: flag('Begins TLS on a connection of `ldap://`.', { initial: false }),
    plain: flag('Allows `ldap://` without TLS: passwords go over the network as they are.', {
      initial: false,
    }),
    cafile: path(
      'Certificates of the authorities of the directory, PEM. Default: those of the system. Read at the start.',
    ),
    binddn: text('Who searches. Default: nobody, where the directory allows that.', { initial: '' }),
    bindpassword: text('The password of `binddn`.', { secret: true }),
    bindpasswordfile: path('A file that holds `bindpassword`.'),
    userbase: text('Where people are: `ou=people,dc=example,dc=com`.'),
    userfilter: text('Finds somebody by `{name}`, which is what was typed.', {
      initial: '(&(objectClass=person)(uid={name}))',
    }),
    subjectattribute: attribute(
      'What never changes of an entry, and is given to no other; `objectGUID` for Active Directory.',
      'entryUUID',
    ),
    nameattribute: attribute('The name that a new user gets.', 'uid'),
    emailattribute: attribute('The address of mail.', 'mail'),
    displaynameattribute: attribute('The name to show.', 'cn'),
    groupbase: text('Where groups are. Default: they are not searched.', { initial: '' }),
    groupfilter: text('Finds the groups of somebody by `{dn}` or `{name}`.', { initial: '(member={dn})' }),
    groupattribute: attribute('The name of a group. Groups can be called by their DN as well.', 'cn'),
    memberofattribute: attribute(
      'The groups of somebody, where his own entry has them; such as `memberOf`.',
      '',
    ),
    ...PROVIDER_KEYS,
    timeout: duration('The longest time for an answer.', { initial: 5_000 }),
  },
)
