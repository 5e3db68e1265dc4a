// Deletes objects a thousand a request, and one by one where a server cannot do that.
import { DeleteObjectsCommand } from '@aws-sdk/client-s3'
import type { Bucket } from '#blobs/s3/bucket.ts'
import { isUnsupported } from '#blobs/s3/s3-failure.ts'
import { inTurns } from '#lib/in-turns.ts'

const KEYS_PER_REQUEST = 1_000
const REQUESTS_AT_ONCE = 8

export async function deleteMany(bucket: Bucket, paths: readonly string[]): Promise<void> {
  for (let start = 0; start < paths.length; start += KEYS_PER_REQUEST) {
    const some = paths.slice(start, start + KEYS_PER_REQUEST)
    try {
      await deleteSome(bucket, some)
    } catch (error) {
      if (!isUnsupported(error)) throw error
      await inTurns(some, REQUESTS_AT_ONCE, (path) => bucket.delete(path))
    }
  }
}

async function deleteSome(bucket: Bucket, paths: readonly string[]): Promise<void> {
  const Delete = { Objects: paths.map((path) => ({ Key: bucket.keyOf(path) })), Quiet: true }
  const { Errors = [] } = await bucket.client.send(new DeleteObjectsCommand({ Bucket: bucket.name, Delete }))
  const [error] = Errors.filter(({ Code }) => Code !== 'NoSuchKey')
  if (error)
    throw new Error(`${Errors.length} objects were not deleted: ${error.Code} ${error.Message ?? ''}`)
}
