// Opens a bucket as a store, and sees first that it is there and ours. Loads the SDK: import it only where it is used.
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { Bucket } from '#blobs/s3/bucket.ts'
import { s3Client } from '#blobs/s3/s3-client.ts'
import { statusOf } from '#blobs/s3/s3-failure.ts'
import type { S3Options } from '#blobs/s3/s3-options.ts'
import { S3Storage, type SignAddress } from '#blobs/s3/s3-storage.ts'
import { Wire } from '#blobs/s3/wire/wire.ts'

export interface OpenS3 {
  readonly storage: S3Storage
  /** Closes the connections. */
  close(): void
}

/** @throws Error with a sentence for the operator when the bucket is not there, is not ours, or does not answer */
export async function openS3Storage(options: S3Options): Promise<OpenS3> {
  const client = s3Client(options)
  const { redirectEndpoint } = options
  const signer = redirectEndpoint === undefined ? client : s3Client(options, redirectEndpoint)
  let wire: Wire | undefined
  try {
    wire = await wireTo(client, options)
    await new Bucket(client, options).probe()
  } catch (error) {
    wire?.close()
    client.destroy()
    throw new Error(unusable(options, error), { cause: error })
  }
  const bucket = new Bucket(client, options, wire)
  const sign: SignAddress = async (path, expiresIn) =>
    new URL(await getSignedUrl(signer, new GetObjectCommand(bucket.at(path)), { expiresIn }))
  return {
    storage: new S3Storage(bucket, options, sign),
    close() {
      wire?.close()
      client.destroy()
      if (signer !== client) signer.destroy()
    },
  }
}

/** The SDK knows where a bucket is: by its own rules for regions, endpoints and styles. */
async function wireTo(client: S3Client, options: S3Options): Promise<Wire> {
  const base = new URL(
    await getSignedUrl(client, new GetObjectCommand({ Bucket: options.bucket, Key: 'x' }), { expiresIn: 60 }),
  )
  base.search = ''
  base.pathname = base.pathname.slice(0, -1)
  return new Wire({
    base,
    region: options.region,
    keys: () => client.config.credentials(),
    verifyTls: options.verifyTls,
    now: Date.now,
  })
}

function unusable({ bucket, endpoint }: S3Options, error: unknown): string {
  const where = `the bucket ${bucket}${endpoint === undefined ? '' : ` at ${endpoint}`}`
  const status = statusOf(error)
  if (status === 404) return `${where} does not exist: create it, or correct storage.s3.bucket`
  if (status === 403)
    return `${where} is not open to these keys: check storage.s3.accesskey, secretkey and the rights`
  if (status === 301) return `${where} is in another region: correct storage.s3.region`
  const why = error instanceof Error ? `${error.name} ${error.message}`.trim() : String(error)
  return `${where} cannot be reached: ${why}`
}
