// The SDK's client, made from our options. Loaded only where a bucket is used: 17 MB and 0.1 s.
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { S3Client } from '@aws-sdk/client-s3'
import type { S3Options } from '#blobs/s3/s3-options.ts'

/** A pull that its client reads slowly holds a connection: as many as we may have clients. */
const CONNECTIONS_MAX = 4096
const IDLE_CONNECTIONS_MAX = 64
const CONNECT_MS_MAX = 5_000
/** From the request, its body included, to the head of its answer; and how long bytes of an answer may stand still. */
export const STALLED_MS = 60_000
/** The same where the server moves many bytes before it answers. */
export const MOVED_MS_MAX = 15 * 60_000
/** The first and three more, with 50 ms to 400 ms between them: then the client is told to come again. */
const ATTEMPTS_MAX = 4

/** What the SDK says of requests is in our own words already, where the request failed. */
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }

export function s3Client(options: S3Options, endpoint = options.endpoint): S3Client {
  const agent = { keepAlive: true, maxSockets: CONNECTIONS_MAX, maxFreeSockets: IDLE_CONNECTIONS_MAX }
  const { credentials, userAgent } = options
  return new S3Client({
    region: options.region,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials ? { credentials: withoutUndefined(credentials) } : {}),
    ...(userAgent === undefined ? {} : { customUserAgent: userAgent }),
    forcePathStyle: options.pathStyle,
    useDualstackEndpoint: options.dualStack,
    useAccelerateEndpoint: options.accelerate,
    useFipsEndpoint: options.fips,
    // Every checksum is our own: the digest where it is known, a CRC32 that costs a tenth of it otherwise.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: ATTEMPTS_MAX,
    logger: SILENT,
    requestHandler: {
      connectionTimeout: CONNECT_MS_MAX,
      requestTimeout: STALLED_MS,
      throwOnRequestTimeout: true,
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent({ ...agent, rejectUnauthorized: options.verifyTls }),
    },
  })
}

function withoutUndefined({
  accessKeyId,
  secretAccessKey,
  sessionToken,
}: NonNullable<S3Options['credentials']>) {
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) }
}
