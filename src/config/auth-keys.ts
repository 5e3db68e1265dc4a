// `auth`: who may come in. No kind at all lets everyone in, as in registry:2.
import { PROJECT_DEPTH_MAX } from '#identity/account-name.ts'
import { foreign, listOf, optionalSection, section } from '#lib/settings/node.ts'
import { duration, flag, oneOf, path, text, whole } from '#lib/settings/values.ts'
import { CERTIFICATES } from './certificate-keys.ts'
import { FEDERATION } from './federation-keys.ts'
import { LDAP } from './ldap-keys.ts'
import { OIDC } from './oidc-keys.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

const oneLine = (value: string) =>
  /^[\x20-\x7e]*$/.test(value) ? undefined : 'must be printable ASCII on one line'

/** As registry:3 lists them. */
const SIGNING_ALGORITHMS = /^(?:EdDSA|(?:HS|RS|ES|PS)(?:256|384|512))$/

const TOKEN = optionalSection(
  'Tokens of a token server, which knows the users. Needs `jwks` or `rootcertbundle`.',
  {
    realm: text('The URL of the token server, which clients are sent to.', {}, oneLine, 'URL'),
    service: text('The name of this registry: what tokens must name as their audience.', {}, oneLine),
    issuer: text('The name that the token server gives itself in its tokens.', {}, oneLine),
    rootcertbundle: path(
      'Certificates, PEM. Their keys sign tokens, and so may those of certificates that lead to them. Read again on SIGHUP.',
    ),
    jwks: path('Public keys that sign tokens, as a JSON Web Key Set. Read again on SIGHUP.'),
    signingalgorithms: listOf(
      'How tokens may be signed. Default: every way but the shared secrets of `HS256` and the like, which are never accepted.',
      text(
        'An algorithm.',
        { initial: '' },
        (value) =>
          SIGNING_ALGORITHMS.test(value) ? undefined : 'must be an algorithm such as ES256 or RS256',
        'name',
      ),
    ),
    autoredirect: flag(
      'Sends clients to `autoredirectpath` at the address by which they reach us, not to `realm`.',
      {
        initial: false,
      },
    ),
    autoredirectpath: text(
      'The path of the token server for `autoredirect`.',
      { initial: '/auth/token' },
      (value) => (/^[\x21-\x7e]*$/.test(value) ? undefined : 'must be a path such as /auth/token'),
    ),
  },
)

const STOWAGE = optionalSection(
  'Users, robots, projects and a token server, all built in. The first start makes a user `admin` and prints its password once, unless STOWAGE_ADMIN_PASSWORD or STOWAGE_ADMIN_PASSWORD_FILE gives one.',
  {
    service: text('The name of this registry in challenges and tokens.', { initial: 'stowage' }, oneLine),
    tokenlife: duration('How long an access token is good for; at least a minute.', {
      initial: 5 * MINUTE_MS,
    }),
    clockskew: duration(
      'How far the clocks of the servers of this registry may be apart: for so long a token is good after its end.',
      { initial: MINUTE_MS },
    ),
    refreshlife: duration('How long a refresh token is good for after its last use.', {
      initial: 30 * DAY_MS,
    }),
    projectcreation: oneOf('Whose first push makes a project.', ['admins', 'everyone'], {
      initial: 'admins',
    }),
    visibility: oneOf(
      'Who may pull from a project that a push makes: its members, everyone who logs in, or everyone.',
      ['private', 'authenticated', 'public'],
      { initial: 'private' },
    ),
    projectdepth: whole(
      "How many components of a repository's name can name its project, the last one never. With 2, `team/web/app` belongs to the project `team/web`, and `team/app` to `team`.",
      '',
      { initial: 1, min: 1, max: PROJECT_DEPTH_MAX },
    ),
    oidc: OIDC,
    ldap: LDAP,
    federation: FEDERATION,
    certificates: CERTIFICATES,
    sessions: section('Sessions of browsers that log in.', {
      idle: duration('Without a request for so long a session is over.', { initial: 30 * MINUTE_MS }),
      life: duration('After that a session is over in any case.', { initial: 12 * 60 * MINUTE_MS }),
    }),
    auditretention: duration('How long the audit log is kept. `0` keeps it for ever.', {
      initial: 365 * DAY_MS,
    }),
  },
)

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
    token: TOKEN,
    stowage: STOWAGE,
    none: foreign('works', 'Says aloud that there is no authentication.'),
  },
  { choice: true },
)
