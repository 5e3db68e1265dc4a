// Which folders of a tree are repositories, also where symbolic links lead: into other disks, across, and back.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { FilesystemKeys } from '#blobs/filesystem-keys.ts'
import { repositoryFolders } from '#maintenance/repository-walk.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stowage-walk-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const at = (...parts: string[]) => join(folder, 'docker/registry/v2/repositories', ...parts)
const repository = (path: string) => mkdir(join(path, '_manifests/tags'), { recursive: true })

async function link(target: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await symlink(target, path)
}

async function walk(): Promise<{ names: string[]; loops: string[]; unread: string[] }> {
  const keys = new FilesystemKeys(folder, () => 'unused')
  const [names, loops, unread]: string[][] = [[], [], []]
  const listener = {
    onLoop: (path: string) => void loops?.push(path.split('/repositories/')[1] ?? path),
    onUnread: (_: string, error: unknown) => void unread?.push(String(error)),
  }
  for await (const { name } of repositoryFolders(keys, listener)) names?.push(name)
  return { names: names ?? [], loops: loops ?? [], unread: unread ?? [] }
}

describe('repositories of a tree', () => {
  test('are found each before those below it, in the order of their names', async () => {
    for (const name of ['team/b', 'team/a/nested', 'team/a', 'solo']) await repository(at(name))
    await mkdir(at('team/a/_uploads/x'), { recursive: true })
    assert.deepEqual((await walk()).names, ['solo', 'team/a', 'team/a/nested', 'team/b'])
  })

  test('are none where there is no tree', async () => {
    assert.deepEqual(await walk(), { names: [], loops: [], unread: [] })
  })

  test('are found behind symbolic links: of their own folder, of one above it, of the whole tree', async () => {
    await repository(join(folder, 'moved/app'))
    await repository(join(folder, 'moved/group/one'))
    await link(join(folder, 'moved/app'), join(folder, 'elsewhere/team/app'))
    await link('../../moved/group', join(folder, 'elsewhere/team/group'))
    await link('group', join(folder, 'elsewhere/team/alias'))
    await link(join(folder, 'elsewhere'), at())
    const { names, loops, unread } = await walk()
    assert.deepEqual(names, ['team/alias/one', 'team/app', 'team/group/one'])
    assert.deepEqual([loops, unread], [[], []])
  })

  test('are not looked for behind a link that leads nowhere, to a file, a pipe, or to itself', async () => {
    await repository(at('app'))
    await link('nowhere', at('dangling'))
    await link('itself', at('itself'))
    await link('/etc/hostname', at('file'))
    assert.equal(spawnSync('mkfifo', [at('pipe')]).status, 0)
    await link('pipe', at('to-pipe'))
    assert.deepEqual(await walk(), { names: ['app'], loops: [], unread: [] })
  })

  test('are found once where links lead back to a folder above, directly or across', async () => {
    await repository(at('a'))
    await repository(at('b'))
    await link('..', at('a/up'))
    await link('.', at('a/same'))
    await link('../b', at('a/across'))
    await link('../a', at('b/across'))
    const { names, loops, unread } = await walk()
    assert.deepEqual(names, ['a', 'a/across', 'b', 'b/across'])
    assert.deepEqual(loops.sort(), [
      'a/across/across',
      'a/same',
      'a/up',
      'b/across/across',
      'b/across/same',
      'b/across/up',
    ])
    assert.deepEqual(unread, [])
  })

  test('are not followed without end where links multiply', async () => {
    const names = Array.from({ length: 12 }, (_, index) => `n${index}`)
    for (const name of names) await repository(at(name))
    for (const name of names)
      for (const other of names) if (other !== name) await link(`../${other}`, at(name, other))
    const { names: found, unread } = await walk()
    assert.ok(found.length <= 12 + 12 * 16, `${found.length} names`)
    for (const name of names) assert.ok(found.includes(name), name)
    assert.ok(unread.length > 0)
    assert.match(unread[0] ?? '', /more than 16 symbolic links lead to /)
  })
})
