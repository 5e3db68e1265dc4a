import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WalSync } from '#db/wal-sync.ts'
import { OciError } from '#oci/errors.ts'

/** A disk that loses what it was given once, and from then on says that all is well. */
function forgetfulDisk() {
  const disk = { works: true, syncs: 0 }
  const sync = async () => {
    disk.syncs += 1
    if (!disk.works) {
      disk.works = true
      throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' })
    }
  }
  return { disk, sync }
}

function isRefused(error: unknown): boolean {
  assert.ok(error instanceof OciError)
  assert.equal(error.reason, 'UNAVAILABLE')
  assert.match(error.message, /until the server is restarted/)
  return true
}

test('after a sync that failed nothing is durable any more, also when the disk says so', async () => {
  const { disk, sync } = forgetfulDisk()
  const told: Error[] = []
  const wal = new WalSync(sync, (error) => told.push(error))
  await wal.run()
  wal.check()
  disk.works = false
  await assert.rejects(wal.run(), isRefused)
  const syncs = disk.syncs
  await assert.rejects(wal.run(), isRefused)
  assert.throws(() => wal.check(), isRefused)
  assert.equal(disk.syncs, syncs, 'the disk is not even asked')
  assert.equal(told.length, 1)
  assert.match(String(told[0]?.cause), /EIO/)
})

test('those who wait behind a sync that fails are refused too', async () => {
  const { disk, sync } = forgetfulDisk()
  const wal = new WalSync(sync)
  disk.works = false
  const results = await Promise.allSettled([wal.run(), wal.run(), wal.run()])
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'rejected', 'rejected'],
  )
})
