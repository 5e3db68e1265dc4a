import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, describe } from 'node:test'
import { keyStoreSuite } from '#blobs/keys.suite.ts'
import { blobPath } from '#blobs/layout.ts'
import { openS3Storage } from '#blobs/s3/open-s3.ts'
import { blobStorageSuite } from '#blobs/store.suite.ts'
import type { Digest } from '#oci/digest.ts'
import { gatewayIsMissing, S3Gateway } from '../../../test/processes/s3-gateway.ts'

describe('on a gateway', { skip: gatewayIsMissing() ?? false }, () => {
  let gateway: S3Gateway
  before(async () => {
    gateway = await S3Gateway.start()
  })
  after(() => gateway.stop())

  async function open() {
    const bucket = gateway.newBucket()
    const { storage, close } = await openS3Storage(gateway.options({ bucket, root: 'a/root' }))
    const plant = async (digest: Digest, bytes: Buffer) => {
      const file = join(gateway.folder, bucket, 'a/root', blobPath(digest))
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, bytes)
    }
    return { storage, keys: storage.keys, plant, close: async () => close() }
  }

  blobStorageSuite('S3', open)
  keyStoreSuite('S3', open)
})
