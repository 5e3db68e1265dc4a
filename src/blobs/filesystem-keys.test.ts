// What only batches of link files on a disk can meet: junk in the way, a folder that takes no writes, an end in between.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, open, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { FilesystemKeys } from '#blobs/filesystem-keys.ts'

describe('batches of link files on a disk', () => {
  let root: string
  let keys: FilesystemKeys
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'stowage-keys-'))
    keys = new FilesystemKeys(root, randomUUID)
  })
  after(async () => {
    await keys.close()
    await rm(root, { recursive: true, force: true })
  })

  const junk: [string, (path: string) => Promise<unknown>, string][] = [
    ['a file where a folder must be', (path) => writeFile(path, 'junk'), 'current/link'],
    ['a folder where the link must be', (path) => mkdir(join(path, 'below'), { recursive: true }), ''],
    ['a symbolic link to nothing where a folder must be', (path) => symlink('nowhere', path), 'current/link'],
    ['a symbolic link to itself where a folder must be', (path) => symlink('itself', path), 'current/link'],
    ['a symbolic link to itself where the link must be', (path) => symlink('itself', path), ''],
  ]
  for (const [index, [what, make, below]] of junk.entries()) {
    test(`${what} makes way for the link`, async () => {
      const folder = join(root, `junk-${index}`)
      await mkdir(folder)
      await writeFile(join(folder, 'beside'), 'kept')
      await make(join(folder, 'itself'))
      const path = [`junk-${index}`, 'itself', below].filter((part) => part !== '').join('/')
      await keys.apply([{ path, text: 'sha256:abc' }])
      assert.equal(await keys.get(path), 'sha256:abc')
      assert.equal(await readFile(join(folder, 'beside'), 'utf8'), 'kept')
    })
  }

  test('a text that is there is replaced whole: an end in between leaves the old one', async () => {
    const path = 'replaced/current/link'
    await keys.apply([{ path, text: 'the old text' }])
    await using before = await open(join(root, path), 'r')
    await keys.apply([{ path, text: 'the new text' }])
    assert.equal(await before.readFile('utf8'), 'the old text')
    assert.equal(await keys.get(path), 'the new text')
    assert.deepEqual(await readdir(join(root, 'replaced/current')), ['link'])
  })

  test('a symbolic link to a folder is a folder', async () => {
    await mkdir(join(root, 'elsewhere'))
    await symlink('elsewhere', join(root, 'moved'))
    await keys.apply([{ path: 'moved/link', text: 'x' }])
    assert.deepEqual(await readdir(join(root, 'elsewhere')), ['link'])
  })

  test('a pipe in the place of a link is none, and nobody waits for its writer', async () => {
    assert.equal(spawnSync('mkfifo', [join(root, 'pipe')]).status, 0)
    assert.equal(await keys.get('pipe'), undefined)
  })

  test('a symbolic link is listed as what it leads to', async () => {
    const folder = join(root, 'listed')
    await mkdir(join(folder, 'real'), { recursive: true })
    for (const [name, target] of Object.entries({ in: 'real', out: root, dangling: 'nowhere', self: 'self' }))
      await symlink(target, join(folder, name))
    const entries = []
    for await (const entry of keys.list('listed')) entries.push(entry)
    assert.deepEqual(
      entries.sort((one, other) => (one.name < other.name ? -1 : 1)),
      [
        { name: 'dangling', directory: false },
        { name: 'in', directory: true, link: true },
        { name: 'out', directory: true, link: true },
        { name: 'real', directory: true },
        { name: 'self', directory: false },
      ],
    )
    assert.equal(await keys.real('listed/in'), await keys.real('listed/real'))
    assert.equal(await keys.real('listed/dangling'), undefined)
  })

  test('what would lie below a file is removed without a word', async () => {
    await writeFile(join(root, 'file'), 'kept')
    await keys.apply([{ path: 'file/below/link' }])
    assert.equal(await readFile(join(root, 'file'), 'utf8'), 'kept')
  })

  test('a batch that fails says so, and the next one is applied', async () => {
    await assert.rejects(keys.apply([{ path: `${'n'.repeat(300)}/link`, text: 'x' }]), /ENAMETOOLONG/)
    await keys.apply([{ path: 'after/link', text: 'x' }])
    assert.equal(await keys.get('after/link'), 'x')
  })

  test('closing waits for the batches that were handed over', async () => {
    const closing = new FilesystemKeys(root, randomUUID)
    const changes = Array.from({ length: 500 }, (_, index) => ({ path: `closing/${index}/link`, text: 'x' }))
    const applied = closing.apply(changes)
    await closing.close()
    await applied
    assert.equal((await readdir(join(root, 'closing'))).length, 500)
  })

  test('more batches than may wait are refused', async () => {
    const many = Array.from({ length: 40 }, () => keys.apply([{ path: 'many/link', text: 'x' }]))
    const outcomes = await Promise.allSettled(many)
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    assert.equal(refused.length, 40 - 16)
    assert.match(String((refused[0] as PromiseRejectedResult).reason), /too many batches/)
  })
})
