// What a client deletes before the pass has come to it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventsAfter } from '#db/events.ts'
import { linkTree } from '#maintenance/link-tree.ts'
import { CALLER, registryOver } from '#maintenance/registry-under-test.ts'
import { APP, TreeUnderTest } from '#maintenance/tree-under-test.ts'
import { deleteManifest } from '#registry/manifests.ts'

test('a manifest takes its tags with it, also those that only the tree knows yet', async () => {
  const tree = await TreeUnderTest.open()
  const { digest } = await tree.image('a', ['1.0', '2.0'])
  const kept = await tree.image('b', ['kept'])
  const registry = registryOver(tree.db, { storage: tree.storage, upstreams: [tree.pass] })
  await deleteManifest(registry, CALLER, APP, { digest })
  const { db, storage } = tree
  const subscriber = linkTree({ db, storage, keys: storage.keys, startedAfter: 0 })
  await subscriber.handle(await eventsAfter(db, 0, 100), () => {})
  const tags: string[] = []
  for await (const { name } of tree.keys.list(`docker/registry/v2/repositories/${APP}/_manifests/tags`))
    tags.push(name)
  assert.deepEqual(tags, ['kept'])
  assert.notEqual(kept.digest, digest)
  await tree.close()
})
