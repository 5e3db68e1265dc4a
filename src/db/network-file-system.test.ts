import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { networkFileSystem, refuseNetworkFileSystem } from '#db/network-file-system.ts'

/** As statfs(2) has them; Node gives them signed on some systems. */
const TYPES: readonly [type: number, name: string | undefined][] = [
  [0x6969, 'NFS'],
  [0xff534d42, 'CIFS'],
  [0xff534d42 | 0, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x01021997, '9p'],
  [0x00c36400, 'CephFS'],
  [0x5346414f, 'AFS'],
  [0x0bd00bd0, 'Lustre'],
  [0xef53, undefined],
  [0x58465342, undefined],
  [0x9123683e, undefined],
  [0x01021994, undefined],
  [0x794c7630, undefined],
]
for (const [type, name] of TYPES)
  test(`the type 0x${(type >>> 0).toString(16)} is ${name ?? 'local'}`, async () => {
    assert.equal(await networkFileSystem('/any', async () => type), name)
  })

test('a network file system is refused with the setting that helps', async () => {
  await assert.rejects(
    refuseNetworkFileSystem('/mnt/share', async () => 0x6969),
    (error: Error) => {
      assert.match(error.message, /\/mnt\/share lies on a network file system \(NFS\)/)
      assert.match(error.message, /REGISTRY_DATABASE_PATH/)
      return true
    },
  )
})

test('a folder of this machine is taken', async () => {
  await refuseNetworkFileSystem(tmpdir())
})
