// A tree whose folders were moved to other disks, with symbolic links in their place: what registry:2 serves of it, Stowage
// serves too, while it reads the tree and afterwards.
import assert from 'node:assert/strict'
import { mkdir, rename, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { send } from '../http/client.ts'
import { expectStatus } from '../http/content.ts'
import { blobStatus, catalogOf, manifestStatus, Published, tagsOf } from './published.ts'
import { SharedFolder, skipReason } from './shared-folder.ts'

describe('a tree with symbolic links', { skip: skipReason }, () => {
  test('is taken over as registry:2 serves it, and used through the links', async () => {
    await using shared = await SharedFolder.make()
    const repositories = ['group/one', 'group/two', 'plain', 'team/app']
    await shared.distribution()
    const published = new Published()
    for (const repository of repositories) await published.image(shared, repository, ['1.0', 'latest'])
    await shared.stop()

    const move = async (...parts: string[]) => {
      const [from, to] = [shared.tree('repositories', ...parts), join(shared.folder, 'other', ...parts)]
      await mkdir(dirname(to), { recursive: true })
      await rename(from, to)
      await symlink(to, from)
    }
    await move('team/app')
    await move('group')
    await move('plain/_manifests/tags/1.0')
    await symlink(basename('plain'), shared.tree('repositories/alias'))

    await shared.distribution()
    const catalog = await catalogOf(shared)
    const tags = await Promise.all(catalog.map((repository) => tagsOf(shared, repository)))
    await shared.stop()
    assert.deepEqual(catalog, ['alias', ...repositories])

    for (const when of ['at once', 'after the pass', 'after a restart'] as const) {
      if (when !== 'after the pass') await shared.stowage()
      if (when !== 'at once') await shared.passed()
      assert.deepEqual(await catalogOf(shared), catalog, when)
      for (const [index, repository] of catalog.entries()) {
        assert.deepEqual(await tagsOf(shared, repository), tags[index], `${repository} ${when}`)
        for (const tag of ['1.0', 'latest'])
          assert.equal(await manifestStatus(shared, repository, tag), 200, `${repository}:${tag} ${when}`)
      }
      for (const { repository, content } of published.blobs)
        assert.equal(await blobStatus(shared, repository, content.digest), 200, when)
      if (when === 'after the pass') await shared.stop()
    }

    await published.image(shared, 'team/app', ['3.0'])
    await shared.mirrored('team/app', '3.0')
    for (const path of ['team/app/manifests/latest', 'plain/manifests/1.0'])
      expectStatus(await send(shared, 'DELETE', `/v2/${path}`), 202)
    await shared.stop()
    await shared.distribution()
    assert.deepEqual(await tagsOf(shared, 'team/app'), ['1.0', '3.0'])
    assert.deepEqual(await tagsOf(shared, 'plain'), ['latest'])
    assert.deepEqual(await catalogOf(shared), catalog)
  })
})
