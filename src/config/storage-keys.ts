// `storage` and `database`: where bytes and facts live, and what happens to them.

import { foreign, optionalSection, section } from '#lib/settings/node.ts'
import { duration, flag, path, text, whole } from '#lib/settings/values.ts'
import { S3 } from './s3-keys.ts'
import { schedule } from './schedule.ts'
import { TIERS } from './tier-keys.ts'

const HOUR_MS = 3_600_000

/** Keys of `storage` that are not drivers. */
export const STORAGE_OPTIONS: ReadonlySet<string> = new Set([
  'delete',
  'redirect',
  'tree',
  'tiers',
  'cache',
  'tag',
  'maintenance',
])

export const STORAGE = section(
  'Where blobs are kept. Exactly one driver.',
  {
    filesystem: optionalSection('Blobs in a folder, laid out as registry:2 does.', {
      rootdirectory: path('The folder.', { initial: '/var/lib/registry' }),
      maxthreads: foreign('ignored', 'The number of threads at the disk follows from the machine.'),
    }),
    inmemory: optionalSection('Blobs in memory, for tests: gone when the server stops.', {}),
    s3: S3,
    gcs: foreign('stops', 'is not a storage driver of this version: use storage.filesystem or storage.s3'),
    azure: foreign('stops', 'is not a storage driver of this version: use storage.filesystem or storage.s3'),
    oss: foreign('stops', 'is not a storage driver of this version: use storage.filesystem or storage.s3'),
    swift: foreign('stops', 'is not a storage driver of this version: use storage.filesystem or storage.s3'),
    delete: section('Deleting.', {
      enabled: flag(
        'Allows DELETE of tags, manifests and blobs. The built-in configuration, used when no file is given, says `true`.',
        { initial: false },
      ),
      window: duration(
        'How long deleted tags and manifests can be restored. Their bytes are kept so long. `0` for not at all.',
        { initial: 168 * HOUR_MS },
      ),
    }),
    redirect: section('Sending clients to the object store for the bytes of blobs. Only with `storage.s3`.', {
      disable: flag('Serves every byte from here.', { initial: false }),
    }),
    tree: flag(
      'Keeps the link files of registry:2 beside the blobs, so that it can serve them and the database can be rebuilt from them. Default: `true`; `false` with `database.url` and `storage.s3`.',
    ),
    tiers: TIERS,
    cache: foreign('warns', 'has no effect: descriptors come from the database and need no cache', [
      'blobdescriptor',
      'blobdescriptorsize',
      'layerinfo',
    ]),
    tag: foreign('ignored', 'Tags are rows of the database and need no parallel look-ups.', [
      'concurrencylimit',
    ]),
    maintenance: section('Upkeep.', {
      uploadpurging: section('Sweeps uploads that nobody finished.', {
        enabled: flag('Sweeps at all.', { initial: true }),
        age: duration('An upload without progress for this long is abandoned.', { initial: 168 * HOUR_MS }),
        interval: duration('Time between two sweeps.', { initial: 24 * HOUR_MS, zeroIsDefault: true }),
        dryrun: flag('Says what would be swept, and sweeps nothing.', { initial: false }),
      }),
      gc: section('Collects garbage while the registry runs.', {
        enabled: flag('Collects by schedule. `stowage gc` works either way.', { initial: true }),
        schedule: schedule('When.', '0 3 * * *'),
        grace: duration(
          'How long content must be without use before it is condemned, and condemned before it is deleted. Longer than a push takes.',
          { initial: HOUR_MS },
        ),
        deleteuntagged: flag(
          'Takes manifests without a tag, too, unless an index or a referrer that is kept needs them.',
          { initial: false },
        ),
        deletespersecond: whole('Blobs deleted in a second at most. `0` for no limit.', '', {
          initial: 500,
        }),
        bytespersecond: whole('Bytes deleted in a second at most. `0` for no limit.', '', {
          initial: 4 * 1024 * 1024 * 1024,
        }),
      }),
      readonly: section('Refuses writes.', {
        enabled: flag('Answers 405 to every push and delete.', { initial: false }),
      }),
    }),
  },
  { choice: true },
)

export const DATABASE = section('Where facts are kept: which repository holds what, tags, uploads, events.', {
  path: path(
    'The SQLite file, without `database.url`. Default: `stowage/registry.sqlite` below `storage.filesystem.rootdirectory`; in memory with `storage.inmemory`; to be named with `storage.s3`. Not on a network file system.',
  ),
  url: text(
    'A PostgreSQL (14 or newer) that keeps the facts instead, shared by any number of servers: `postgres://user:password@host:5432/stowage?sslmode=verify-full`. `sslmode`, `sslrootcert`, `sslcert` and `sslkey` as libpq knows them; `?host=/run/postgresql` for a socket. Not with `storage.inmemory`.',
    { secret: true },
    (url) =>
      /^postgres(ql)?:\/\//.test(url)
        ? undefined
        : 'must be an address such as postgres://user:password@host:5432/stowage',
    'URL',
  ),
  connections: whole(
    'Connections to PostgreSQL that one process uses for transactions; three more are for reads and signals.',
    '',
    { initial: 16, max: 500, defaultUpTo: 0 },
  ),
})

export const EVENTS = section('How long the record of what happened is kept. `0` keeps it for ever.', {
  readretention: duration('For pulls.', { initial: 2160 * HOUR_MS }),
  writeretention: duration('For pushes and deletes.', { initial: 8760 * HOUR_MS }),
})
