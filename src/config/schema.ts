// Every key of a configuration file, once: registry:2's, registry:3's and our own.
import { foreign, section, type ValueOf } from '#lib/settings/node.ts'
import { oneOf } from '#lib/settings/values.ts'
import { AUTH } from './auth-keys.ts'
import { HEALTH } from './health-keys.ts'
import { HTTP } from './http-keys.ts'
import { JOBS, RETENTION, SCRUB } from './job-keys.ts'
import { LOG } from './log-keys.ts'
import { NOTIFICATIONS, WEBHOOKS } from './notification-keys.ts'
import { OUTBOUND } from './outbound-keys.ts'
import { QUOTAS } from './quota-keys.ts'
import { RATES } from './rate-keys.ts'
import { DATABASE, EVENTS, STORAGE } from './storage-keys.ts'
import { CATALOG, POLICY, TAGS, VALIDATION } from './validation-keys.ts'

export const SCHEMA = section('', {
  version: oneOf('The version of the format. A file must say it.', ['0.1'], { initial: '0.1' }),
  log: LOG,
  loglevel: foreign('works', 'The old name of `log.level`, which wins over it.'),
  storage: STORAGE,
  database: DATABASE,
  auth: AUTH,
  http: HTTP,
  outbound: OUTBOUND,
  health: HEALTH,
  validation: VALIDATION,
  catalog: CATALOG,
  tags: TAGS,
  events: EVENTS,
  jobs: JOBS,
  quotas: QUOTAS,
  retention: RETENTION,
  scrub: SCRUB,
  ratelimits: RATES,
  notifications: NOTIFICATIONS,
  webhooks: WEBHOOKS,
  proxy: foreign(
    'stops',
    'A pull-through cache, as soon as `remoteurl` is set.',
    {
      ...foreign('stops', '', ['remoteurl', 'username', 'password', 'ttl', 'cachewritetimeout']).keys,
      exec: foreign('stops', '', ['command', 'lifetime']),
    },
    { silent: true },
  ),
  middleware: foreign('warns', 'has no effect: every byte is served from here', [
    'registry',
    'repository',
    'storage',
  ]),
  redis: foreign('warns', 'has no effect: descriptors come from the database and need no redis', {
    ...foreign('warns', '', [
      ...['addr', 'addrs', 'clientname', 'db', 'protocol', 'username', 'password', 'sentinelusername'],
      ...[
        'sentinelpassword',
        'maxretries',
        'minretrybackoff',
        'maxretrybackoff',
        'dialtimeout',
        'readtimeout',
      ],
      ...['writetimeout', 'contexttimeoutenabled', 'poolfifo', 'poolsize', 'pooltimeout', 'minidleconns'],
      ...['maxidleconns', 'maxactiveconns', 'connmaxidletime', 'connmaxlifetime', 'maxredirects', 'readonly'],
      ...[
        'routebylatency',
        'routerandomly',
        'mastername',
        'disableidentity',
        'identitysuffix',
        'unstableresp3',
      ],
    ]).keys,
    tls: foreign('warns', '', ['enabled', 'certificate', 'key', 'rootcas']),
    pool: foreign('warns', '', ['maxidle', 'maxactive', 'idletimeout']),
  }),
  policy: POLICY,
  reporting: foreign('warns', 'has no effect: watch the log or the metrics', {
    bugsnag: foreign('warns', '', ['apikey', 'releasestage', 'endpoint']),
    newrelic: foreign('warns', '', ['licensekey', 'name', 'verbose']),
  }),
  compatibility: foreign('warns', 'has no effect: schema 1 manifests are gone, here as in registry:3', {
    schema1: foreign(
      'warns',
      '',
      { signingkeyfile: foreign('warns', ''), enabled: foreign('warns', '') },
      {
        fieldNames: { signingkeyfile: 'trustkey' },
      },
    ),
  }),
})

type Values = ValueOf<typeof SCHEMA>

/**
 * The effective configuration: registry:2's keys, nested as in the file; durations in milliseconds (`...Ms`), paths
 * absolute, defaults filled in. Frozen.
 */
export type Config = Omit<Values, 'database' | 'storage'> & {
  readonly storage: Omit<Values['storage'], 'tree'> & { readonly tree: boolean }
  /** The path is `:memory:` when the blobs are in memory too, and not used with a `url`. */
  readonly database: Omit<Values['database'], 'path'> & { readonly path: string }
}
