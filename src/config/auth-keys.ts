// `auth`: who may come in. No kind at all lets everyone in, as in registry:2.
import { foreign, optionalSection, section } from '#lib/settings/node.ts'
import { path, text } from '#lib/settings/values.ts'

const oneLine = (value: string) =>
  /^[\x20-\x7e]*$/.test(value) ? undefined : 'must be printable ASCII on one line'

export const AUTH = section(
  'Authentication. At most one kind; without one, everyone may do everything.',
  {
    htpasswd: optionalSection('Names and passwords from a file.', {
      realm: text('What clients are told they log in to.', { initial: 'Stowage' }, oneLine),
      path: path(
        'The file: one `name:bcrypt` a line. Read again when it changes; made, with a user `docker` and a random password in the log, when it is missing.',
      ),
    }),
    silly: optionalSection('Lets everyone in who sends an Authorization header. For tests.', {
      realm: text('The realm of the challenge.', { initial: 'silly' }, oneLine),
      service: text('The service of the challenge.', { initial: 'silly' }, oneLine),
    }),
    token: foreign(
      'stops',
      'is not available in this version, and without it everyone would be let in: use auth.htpasswd',
      [
        ...['realm', 'service', 'issuer', 'rootcertbundle', 'jwks', 'signingalgorithms'],
        ...['autoredirect', 'autoredirectpath'],
      ],
    ),
    none: foreign('works', 'Says aloud that there is no authentication.'),
  },
  { choice: true },
)
