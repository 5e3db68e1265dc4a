// `storage.s3`: a bucket of S3 or of a server that speaks its protocol, by registry:2's names.
import { foreign, optionalSection } from '#lib/settings/node.ts'
import { flag, text, whole } from '#lib/settings/values.ts'

const MiB = 1024 * 1024

/** Those whose bytes can be read at once. NONE asks for no class at all. */
const STORAGE_CLASSES = [
  ...['NONE', 'STANDARD', 'REDUCED_REDUNDANCY', 'STANDARD_IA', 'ONEZONE_IA', 'INTELLIGENT_TIERING'],
  ...['OUTPOSTS', 'GLACIER_IR', 'EXPRESS_ONEZONE'],
]
const ACLS = [
  ...['private', 'public-read', 'public-read-write', 'authenticated-read', 'aws-exec-read'],
  ...['bucket-owner-read', 'bucket-owner-full-control'],
]

function among(words: readonly string[]) {
  return (value: string) =>
    words.some((word) => word.toLowerCase() === value.toLowerCase())
      ? undefined
      : `must be one of ${words.join(', ')}, not ${JSON.stringify(value.slice(0, 60))}`
}

export const S3 = optionalSection(
  'Blobs in a bucket, under the keys of registry:2. Needs `database.url`, or `database.path` on a disk that stays.',
  {
    bucket: text('The bucket. Must be there.'),
    region: text(
      'Its region. Needed without `regionendpoint`; with it `us-east-1` is taken where nothing is said.',
    ),
    accesskey: text(
      'The access key. Without it and `secretkey`: the environment (`AWS_ACCESS_KEY_ID`), shared files, the role of the container or instance.',
      { secret: true },
    ),
    secretkey: text('The secret key.', { secret: true }),
    sessiontoken: text('The token of temporary keys.', { secret: true }),
    regionendpoint: text(
      'The address of a server other than AWS: `https://s3.example.com`, `minio:9000`. Without a scheme `secure` decides.',
    ),
    redirectendpoint: text(
      'Where clients are sent for bytes, when they reach the bucket by another address than we do.',
    ),
    forcepathstyle: flag(
      '`https://host/bucket/key` instead of `https://bucket.host/key`. Default: `true` with `regionendpoint`, `false` at AWS.',
    ),
    rootdirectory: text('What stands before every key: a path in the bucket.', { initial: '' }),
    encrypt: flag('Has the server encrypt what is written (SSE-S3, or SSE-KMS with `keyid`).', {
      initial: false,
    }),
    keyid: text('The key of SSE-KMS. Works with `encrypt: true`.'),
    secure: flag('Uses TLS where an address has no scheme.', { initial: true }),
    skipverify: flag('Trusts any certificate of the server.', { initial: false }),
    v4auth: flag('Signs with version 4, the only one there is by now; `false` stops the start.', {
      initial: true,
    }),
    chunksize: whole(
      'Bytes of one part of an upload. Memory per upload is three times this; 10,000 parts, growing, make a blob.',
      'Bytes',
      { initial: 5 * MiB, min: 5 * MiB, max: 512 * MiB },
    ),
    multipartcopymaxconcurrency: whole('Parts that one commit has the server copy at the same time.', '', {
      initial: 16,
      min: 1,
      max: 1_000,
    }),
    multipartcopychunksize: foreign(
      'warns',
      'has no effect: a blob is put together from the parts that it was uploaded in, of chunksize',
    ),
    multipartcopythresholdsize: foreign(
      'warns',
      'has no effect: an upload of one part is copied whole, one of several part by part',
    ),
    storageclass: text(
      'The storage class of what is written; `NONE` for servers that know none.',
      {},
      among(STORAGE_CLASSES),
      STORAGE_CLASSES.map((word) => `\`${word}\``).join(', '),
    ),
    objectacl: text(
      'The canned ACL of what is written. Default: none is sent.',
      {},
      among(ACLS),
      ACLS.map((word) => `\`${word}\``).join(', '),
    ),
    useragent: text('Is added to the User-Agent.'),
    usedualstack: flag('IPv6 too, at AWS.', { initial: false }),
    accelerate: flag('Transfer acceleration, at AWS.', { initial: false }),
    usefipsendpoint: flag('The FIPS 140 endpoints, at AWS.', { initial: false }),
    loglevel: foreign('warns', 'has no effect: requests to S3 that fail are in the log'),
  },
)
