// What every store of link files does, whatever it keeps them in.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Batching, Durable, KeyEntry, KeyStore } from '#blobs/keys.ts'

export interface KeysUnderTest {
  readonly keys: KeyStore & Batching & Durable
  readonly close: () => Promise<void>
}

export function keyStoreSuite(name: string, open: () => Promise<KeysUnderTest>): void {
  describe(`${name} as a key store`, () => {
    let opened: KeysUnderTest
    let keys: KeyStore & Batching & Durable
    before(async () => {
      opened = await open()
      keys = opened.keys
    })
    after(() => opened.close())

    test('a text is read back from below folders that were not there', async () => {
      await keys.put('a/new/folder/link', 'sha256:abc')
      assert.equal(await keys.get('a/new/folder/link'), 'sha256:abc')
    })

    test('a text keeps its characters', async () => {
      await keys.put('characters', 'größe\n\0')
      assert.equal(await keys.get('characters'), 'größe\n\0')
    })

    test('a second text takes the place of the first', async () => {
      await keys.put('twice/link', 'a longer first text')
      await keys.put('twice/link', 'second')
      assert.equal(await keys.get('twice/link'), 'second')
    })

    test('what is absent has no text, no age and no children', async () => {
      await keys.put('present/link', 'x')
      for (const path of ['absent', 'absent/link', 'present/other', 'present/link/below']) {
        assert.equal(await keys.get(path), undefined)
        assert.equal(await keys.modifiedAt(path), undefined)
        assert.deepEqual(await entriesOf(keys, path), [])
        await keys.remove(path)
      }
      assert.equal(await keys.get('present/link'), 'x')
    })

    test('a folder has no text and no age', async () => {
      await keys.put('folder/link', 'x')
      assert.equal(await keys.get('folder'), undefined)
      assert.equal(await keys.modifiedAt('folder'), undefined)
    })

    test('a file has no children', async () => {
      await keys.put('leaf/link', 'x')
      assert.deepEqual(await entriesOf(keys, 'leaf/link'), [])
    })

    test('a folder lists its direct children, and what they are', async () => {
      await keys.put('parent/file', 'x')
      await keys.put('parent/folder/one', 'x')
      await keys.put('parent/folder/two', 'x')
      await keys.put('parent-not/file', 'x')
      assert.deepEqual(await entriesOf(keys, 'parent'), [
        { name: 'file', directory: false },
        { name: 'folder', directory: true },
      ])
    })

    test('a large folder is listed whole', async () => {
      const names = Array.from({ length: 300 }, (_, index) => `tag-${String(index).padStart(3, '0')}`)
      await Promise.all(names.map((name) => keys.put(`large/${name}/link`, name)))
      const entries = await entriesOf(keys, 'large')
      assert.deepEqual(
        entries.map((entry) => entry.name),
        names,
      )
      assert.ok(entries.every((entry) => entry.directory))
    })

    test('a file is removed alone', async () => {
      await keys.put('remove/one', 'x')
      await keys.put('remove/two', 'x')
      await keys.remove('remove/one')
      assert.deepEqual(await entriesOf(keys, 'remove'), [{ name: 'two', directory: false }])
    })

    test('a folder is removed with all that is in it, and nothing beside it', async () => {
      await keys.put('tree/branch/leaf/link', 'x')
      await keys.put('tree/branch/other', 'x')
      await keys.put('tree/branch-two', 'x')
      await keys.remove('tree/branch')
      assert.equal(await keys.get('tree/branch/leaf/link'), undefined)
      assert.equal(await keys.get('tree/branch-two'), 'x')
    })

    test('a removed text can be put again', async () => {
      await keys.put('again/link', 'first')
      await keys.remove('again')
      await keys.put('again/link', 'second')
      assert.equal(await keys.get('again/link'), 'second')
    })

    test('a text knows when it was written', async () => {
      const earliest = Date.now() - 1000
      await keys.put('aged/link', 'x')
      const modifiedAt = (await keys.modifiedAt('aged/link')) ?? 0
      assert.ok(modifiedAt > earliest && modifiedAt < Date.now() + 1000)
    })

    test('a text of 4 KiB is kept, a longer one is refused and changes nothing', async () => {
      await keys.put('limit', 'x'.repeat(4096))
      await assert.rejects(keys.put('limit', 'y'.repeat(4097)), /4096/)
      assert.equal(await keys.get('limit'), 'x'.repeat(4096))
    })

    test('a file does not become a folder, nor a folder a file', async () => {
      await keys.put('kind/file', 'x')
      await assert.rejects(keys.put('kind/file/below', 'y'))
      await assert.rejects(keys.put('kind', 'y'))
      assert.equal(await keys.get('kind/file'), 'x')
    })

    test('a reader sees the old text or the new one, never a part', async () => {
      const texts = ['a'.repeat(4000), 'b'.repeat(4000)]
      await keys.put('atomic', texts[0] ?? '')
      let writing = true
      const writer = (async () => {
        for (let index = 0; index < 50; index++) await keys.put('atomic', texts[index % 2] ?? '')
        writing = false
      })()
      while (writing) assert.ok(texts.includes((await keys.get('atomic')) ?? 'absent'))
      await writer
    })

    test('a batch is applied in its order: the last word on a path wins', async () => {
      await keys.apply([
        { path: 'batch/one/link', text: 'first' },
        { path: 'batch/one/link', text: 'a second, longer text' },
        { path: 'batch/two/link', text: 'kept' },
        { path: 'batch/three/link', text: 'not for long' },
        { path: 'batch/three' },
        { path: 'batch/four' },
        { path: 'batch/four/link', text: 'after its removal' },
        { path: 'batch/empty', text: '' },
      ])
      assert.equal(await keys.get('batch/one/link'), 'a second, longer text')
      assert.equal(await keys.get('batch/four/link'), 'after its removal')
      assert.equal(await keys.get('batch/empty'), '')
      assert.deepEqual(
        (await entriesOf(keys, 'batch')).map((entry) => entry.name),
        ['empty', 'four', 'one', 'two'],
      )
    })

    test('a batch removes a folder with all that is in it, and what is absent without a word', async () => {
      await keys.apply([
        { path: 'cut/tag/current/link', text: 'x' },
        { path: 'cut/tag/index/sha256/a/link', text: 'x' },
      ])
      await keys.apply([{ path: 'cut/tag' }, { path: 'cut/absent/below' }, { path: 'absent-of-all' }])
      assert.deepEqual(await entriesOf(keys, 'cut'), [])
      await keys.apply([])
    })

    test('batches that are handed over at once are applied in the order of the calls', async () => {
      const batches = Array.from({ length: 10 }, (_, index) =>
        keys.apply([{ path: 'turns/link', text: String(index) }]),
      )
      await Promise.all(batches)
      assert.equal(await keys.get('turns/link'), '9')
    })

    test('a text can be made durable, and one that is absent cannot', async () => {
      await keys.put('durable/mark', 'x')
      await keys.sync('durable/mark')
      assert.equal(await keys.get('durable/mark'), 'x')
      await assert.rejects(keys.sync('durable/absent'))
    })

    test('a batch with a path that leads out is refused', async () => {
      const apply = async () =>
        keys.apply([
          { path: 'in/order', text: 'x' },
          { path: '../out', text: 'x' },
        ])
      await assert.rejects(apply, /not a key path/)
    })

    for (const path of ['', '/', '/a', 'a/', 'a//b', '.', '..', 'a/../b', 'a/./b', 'a\\b', 'a/b\0']) {
      test(`the path ${JSON.stringify(path)} is refused`, async () => {
        const refused = /not a key path/
        await assert.rejects(keys.get(path), refused)
        await assert.rejects(keys.put(path, 'x'), refused)
        await assert.rejects(keys.remove(path), refused)
        await assert.rejects(entriesOf(keys, path), refused)
        await assert.rejects(keys.modifiedAt(path), refused)
      })
    }
  })
}

async function entriesOf(keys: KeyStore, path: string): Promise<KeyEntry[]> {
  const entries: KeyEntry[] = []
  for await (const entry of keys.list(path)) entries.push(entry)
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
}
