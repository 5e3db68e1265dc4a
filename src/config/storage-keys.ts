// `storage` and `database`: where bytes and facts live, and what happens to them.
import { foreign, optionalSection, section } from '#lib/settings/node.ts'
import { duration, flag, path } from '#lib/settings/values.ts'

const HOUR_MS = 3_600_000

/** Keys of `storage` that are not drivers. */
export const STORAGE_OPTIONS: ReadonlySet<string> = new Set([
  'delete',
  'redirect',
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
    s3: foreign('stops', 'is not a storage driver of this version: use storage.filesystem', [
      ...[
        'accesskey',
        'secretkey',
        'region',
        'regionendpoint',
        'redirectendpoint',
        'forcepathstyle',
        'bucket',
      ],
      ...['encrypt', 'keyid', 'secure', 'skipverify', 'v4auth', 'chunksize', 'multipartcopychunksize'],
      ...['multipartcopymaxconcurrency', 'multipartcopythresholdsize', 'rootdirectory', 'storageclass'],
      ...['useragent', 'usedualstack', 'accelerate', 'usefipsendpoint', 'objectacl', 'loglevel'],
    ]),
    gcs: foreign('stops', 'is not a storage driver of this version: use storage.filesystem'),
    azure: foreign('stops', 'is not a storage driver of this version: use storage.filesystem'),
    oss: foreign('stops', 'is not a storage driver of this version: use storage.filesystem'),
    swift: foreign('stops', 'is not a storage driver of this version: use storage.filesystem'),
    delete: section('Deleting.', {
      enabled: flag(
        'Allows DELETE of tags, manifests and blobs. The built-in configuration, used when no file is given, says `true`.',
        { initial: false },
      ),
    }),
    redirect: foreign(
      'ignored',
      'Redirects go to an object store, and this version serves every byte itself.',
      ['disable'],
    ),
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
      readonly: section('Refuses writes.', {
        enabled: flag('Answers 405 to every push and delete.', { initial: false }),
      }),
    }),
  },
  { choice: true },
)

export const DATABASE = section('Where facts are kept: which repository holds what, tags, uploads, events.', {
  path: path(
    'The SQLite file. Default: `stowage/registry.sqlite` below `storage.filesystem.rootdirectory`; in memory with `storage.inmemory`. Not on a network file system.',
  ),
  url: foreign('stops', 'cannot be used in this version, which keeps its facts in SQLite: remove it'),
})

export const EVENTS = section('How long the record of what happened is kept. `0` keeps it for ever.', {
  readretention: duration('For pulls.', { initial: 2160 * HOUR_MS }),
  writeretention: duration('For pushes and deletes.', { initial: 8760 * HOUR_MS }),
})
