// What is kept for deletes on a full disk: made once, given up once, and found again after a crash at any step.
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { RESERVE_BYTES, Reserve, reservePath } from '#db/reserve.ts'
import { setSetting } from '#db/settings.ts'
import { openSqlite } from '#db/sqlite.ts'
import { RecordingLog } from '../../test/http/recording-log.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stowage-reserve-'))
})
after(() => rm(folder, { recursive: true, force: true }))

async function reserveAt(name: string) {
  const log = new RecordingLog()
  const path = join(folder, name)
  const reserve = await Reserve.find({ path, log, now: Date.now })
  return { path, log, reserve, bytes: async () => (await stat(reservePath(path))).size }
}

test('it is made, given up and made again, and each turn is told once', async () => {
  const { reserve, log, bytes } = await reserveAt('turns')
  assert.equal(await reserve.giveUp(), false, 'there is nothing yet')
  assert.deepEqual(await Promise.all([reserve.make(), reserve.make()]), [true, true])
  assert.equal(await bytes(), RESERVE_BYTES)
  assert.deepEqual(await Promise.all([reserve.giveUp(), reserve.giveUp()]), [true, false])
  assert.equal(reserve.isGivenUp, true)
  assert.equal(await bytes(), 0)
  assert.equal(await reserve.make(), true)
  assert.equal(reserve.isGivenUp, false)
  assert.deepEqual(
    log.lines.map(({ msg }) => msg),
    [
      'the disk is full: the reserve is given up to deletes, and pushes are refused',
      'space is back: the reserve is made again, and pushes are taken',
    ],
  )
})

test('a start finds what the last one left: whole, given up, or half made', async () => {
  const first = await reserveAt('crash')
  await first.reserve.make()
  const whole = (await reserveAt('crash')).reserve
  assert.equal(whole.isGivenUp, false)
  assert.equal(await whole.giveUp(), true)
  assert.equal((await reserveAt('crash')).reserve.isGivenUp, true)
  await writeFile(reservePath(first.path), Buffer.alloc(1000))
  const half = await reserveAt('crash')
  assert.equal(half.reserve.isGivenUp, true)
  assert.equal(await half.reserve.make(), true)
  assert.equal(await half.bytes(), RESERVE_BYTES)
})

test('one that an operator removed frees nothing more, and is made again', async () => {
  const { reserve, path, bytes } = await reserveAt('removed')
  await reserve.make()
  await rm(reservePath(path))
  assert.equal(await reserve.giveUp(), true)
  assert.equal(await reserve.make(), true)
  assert.equal(await bytes(), RESERVE_BYTES)
})

test('while it is given up and cannot be made, only what may use it is written', async () => {
  const { path, reserve } = await reserveAt('refused.sqlite')
  const db = await openSqlite({ path, reserve })
  await reserve.make()
  await reserve.giveUp()
  // A folder in its place cannot be written.
  await rm(reservePath(path))
  await mkdir(reservePath(path))
  await assert.rejects(
    db.transaction((tx) => setSetting(tx, 'a', 'b')),
    { reason: 'STORAGE_FULL' },
  )
  await db.transaction((tx) => setSetting(tx, 'a', 'b'), { mayUseReserve: true })
  await db.close()
})
