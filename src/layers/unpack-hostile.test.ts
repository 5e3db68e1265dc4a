// Layers made to escape, to overwrite, to exhaust or to lie: each is a clear error, and nothing is left.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createGzip, zstdCompressSync } from 'node:zlib'
import { type CraftedEntry, header, inPieces, layer, layerOf, tarOf } from '#layers/crafted-tar.suite.ts'
import { type Disk, makeFile, makeFolder, makeLink, makeSymlink } from '#layers/disk.ts'
import { LayerError, type LayerErrorCode } from '#layers/layer-error.ts'
import { LayerBudget, type LayerLimits } from '#layers/limits.ts'
import { removeTree } from '#layers/new-folder.ts'
import { type LayerSource, readLayer } from '#layers/read.ts'
import { ImageTree } from '#layers/tree.ts'
import { unpackImage } from '#layers/unpack.ts'
import { digestFrom, digestOf } from '#oci/digest.ts'

const SECRET = 'the host owns this'

/** A folder with a victim beside the root, which every attack tries to reach by relative or absolute names. */
function scene(context: TestContext): { folder: string; outside: string; into: string } {
  const folder = mkdtempSync(join(tmpdir(), 'stowage-hostile-'))
  context.after(() => removeTree(folder))
  const outside = join(folder, 'outside')
  mkdirSync(outside)
  writeFileSync(join(outside, 'victim'), SECRET)
  return { folder, outside, into: join(folder, 'root') }
}

function assertUntouched(folder: string, outside: string, besides: readonly string[]) {
  assert.deepEqual(readdirSync(outside), ['victim'])
  assert.equal(readFileSync(join(outside, 'victim'), 'utf8'), SECRET)
  assert.deepEqual(readdirSync(folder).sort(), ['outside', ...besides].sort())
}

interface Attack {
  readonly name: string
  readonly code: LayerErrorCode
  readonly limits?: Partial<LayerLimits>
  readonly layers: (outside: string) => readonly LayerSource[]
}

const one =
  (...entries: CraftedEntry[]) =>
  () => [layer(...entries)]
const many = (count: number, entry: (index: number) => CraftedEntry) => () => [
  layer(...Array.from({ length: count }, (_, index) => entry(index))),
]

const attacks: readonly Attack[] = [
  { name: 'a file above the root', code: 'PATH_REFUSED', layers: one({ name: '../outside/victim' }) },
  {
    name: 'a file above the root by a detour',
    code: 'PATH_REFUSED',
    layers: one({ name: 'a/b/../../../x' }),
  },
  { name: 'an absolute file above the root', code: 'PATH_REFUSED', layers: one({ name: '/../x' }) },
  { name: 'a folder above the root', code: 'PATH_REFUSED', layers: one({ name: '../x/' }) },
  {
    name: 'a symlink above the root',
    code: 'PATH_REFUSED',
    layers: one({ name: '../x', type: '2', link: 'y' }),
  },
  {
    name: 'a name above the root in a pax record',
    code: 'PATH_REFUSED',
    layers: one({ name: 'ok', pax: { path: '../x' } }),
  },
  { name: 'a whiteout above the root', code: 'PATH_REFUSED', layers: one({ name: '../outside/.wh.victim' }) },
  { name: 'a whiteout of ".."', code: 'PATH_REFUSED', layers: one({ name: 'a/' }, { name: 'a/.wh...' }) },
  { name: 'a whiteout of "."', code: 'PATH_REFUSED', layers: one({ name: 'a/' }, { name: 'a/.wh..' }) },
  { name: 'a whiteout of nothing', code: 'PATH_REFUSED', layers: one({ name: 'a/.wh.' }) },
  { name: 'a file inside a whiteout', code: 'PATH_REFUSED', layers: one({ name: '.wh.a/b' }) },
  {
    name: 'a hard link to a file above the root',
    code: 'PATH_REFUSED',
    layers: one({ name: 'a', type: '1', link: '../outside/victim' }),
  },
  {
    name: 'a hard link to an absolute path of the host',
    code: 'ARCHIVE_BROKEN',
    layers: (outside) => [layer({ name: 'a', type: '1', pax: { linkpath: `${outside}/victim` } })],
  },
  {
    name: 'a hard link through a symlink to the outside',
    code: 'ARCHIVE_BROKEN',
    layers: (outside) => [
      layer({ name: 's', type: '2', pax: { linkpath: outside } }, { name: 'a', type: '1', link: 's/victim' }),
    ],
  },
  {
    name: 'a hard link to a folder',
    code: 'ARCHIVE_BROKEN',
    layers: one({ name: 'd/' }, { name: 'a', type: '1', link: 'd' }),
  },
  {
    name: 'a hard link to the root',
    code: 'ARCHIVE_BROKEN',
    layers: one({ name: 'a', type: '1', link: '.' }),
  },
  {
    name: 'a hard link that replaces the folder of its target',
    code: 'ARCHIVE_BROKEN',
    layers: one({ name: 'd/f' }, { name: 'd', type: '1', link: 'd/f' }),
  },
  {
    name: 'the root as a symlink',
    code: 'PATH_REFUSED',
    layers: one({ name: './', type: '2', link: '/etc' }),
  },
  { name: 'the root as a file', code: 'PATH_REFUSED', layers: one({ name: '.', type: '0' }) },
  { name: 'an empty name', code: 'PATH_REFUSED', layers: one({ name: '', type: '0' }) },
  {
    name: 'a symlink without a target',
    code: 'PATH_REFUSED',
    layers: one({ name: 'a', type: '2', link: '' }),
  },
  {
    name: 'symlinks that lead to each other',
    code: 'PATH_REFUSED',
    layers: one({ name: 'a', type: '2', link: 'b' }, { name: 'b', type: '2', link: 'a' }, { name: 'a/x' }),
  },
  {
    name: 'symlinks of many steps',
    code: 'PATH_REFUSED',
    layers: one(
      { name: 'd/' },
      ...Array.from({ length: 8 }, (_, index) => ({
        name: `s${index}`,
        type: '2',
        pax: { linkpath: `${'d/../'.repeat(700)}s${index + 1}` },
      })),
      { name: 's0/x' },
    ),
  },
  { name: 'a file used as a folder', code: 'PATH_REFUSED', layers: one({ name: 'f' }, { name: 'f/x' }) },
  {
    name: 'a name with a NUL',
    code: 'ARCHIVE_BROKEN',
    layers: one({ name: 'a', pax: { path: 'a\0/../../x' } }),
  },
  {
    name: 'a name with a NUL in a sparse record',
    code: 'PATH_REFUSED',
    layers: one({ name: 'a', pax: { 'GNU.sparse.name': 'a\0b' } }),
  },
  {
    name: 'a name too long for any file',
    code: 'WRITE_FAILED',
    layers: one({ name: 'a', pax: { path: 'n'.repeat(300) } }),
  },
  {
    name: 'a path too long',
    code: 'LIMIT_PASSED',
    layers: one({ name: 'a', pax: { path: `${'d/'.repeat(100)}${'n'.repeat(200)}` } }),
    limits: { pathBytesMax: 300 },
  },
  {
    name: 'a path too deep',
    code: 'LIMIT_PASSED',
    layers: one({ name: 'a', pax: { path: `${'d/'.repeat(300)}x` } }),
  },
  {
    name: 'a path made deep by symlinks',
    code: 'LIMIT_PASSED',
    layers: many(40, (index) =>
      index % 2 === 0
        ? { name: `s${index}/a/b/c/d/e/f/g/h/`, type: '5' }
        : { name: `s${index + 1}`, type: '2', link: `s${index - 1}/a/b/c/d/e/f/g/h` },
    ),
    limits: { pathDepthMax: 60 },
  },
  {
    name: 'too many entries',
    code: 'LIMIT_PASSED',
    layers: many(60, (index) => ({ name: `f${index}` })),
    limits: { entriesMax: 50 },
  },
  {
    name: 'too many folders from few entries',
    code: 'LIMIT_PASSED',
    layers: many(10, (index) => ({ name: `${index}${'/d'.repeat(40)}/` })),
    limits: { entriesMax: 50 },
  },
  {
    name: 'attributes that fill the memory',
    code: 'LIMIT_PASSED',
    layers: many(20, (index) => ({ name: `f${index}`, pax: { 'SCHILY.xattr.user.x': 'v'.repeat(1000) } })),
    limits: { heldBytesMax: 10_000 },
  },
  {
    name: 'a file too large',
    code: 'LIMIT_PASSED',
    layers: one({ name: 'f', content: 'x'.repeat(1001) }),
    limits: { fileBytesMax: 1000 },
  },
  {
    name: 'a file that claims more than there is',
    code: 'ARCHIVE_BROKEN',
    layers: () => [layerOf(Buffer.concat([header({ name: 'f', size: 5000 }), Buffer.alloc(1000)]))],
  },
  {
    name: 'layers that are small one by one, and too large together',
    code: 'LIMIT_PASSED',
    layers: () => ['a', 'b', 'c'].map((name) => layer({ name, content: 'x'.repeat(1000) })),
    limits: { totalBytesMax: 7000 },
  },
  {
    name: 'a sparse file that is small in the archive and huge on disk',
    code: 'LIMIT_PASSED',
    layers: one({ name: 'a', pax: { 'GNU.sparse.size': String(2 ** 45), 'GNU.sparse.map': '0,0' } }),
  },
  {
    name: 'a zstd frame of a million bytes in a hundred',
    code: 'LIMIT_PASSED',
    layers: () => {
      const tar = tarOf({ name: 'a', content: Buffer.alloc(1_000_000) })
      const stored = zstdCompressSync(tar)
      return [{ open: () => inPieces(stored, 50), mediaType: '', diffId: digestOf(tar) }]
    },
    limits: { ratioFreeBytes: 100_000 },
  },
  {
    name: 'a layer that is not what its DiffID says',
    code: 'DIFF_ID_MISMATCH',
    layers: () => [layer({ name: 'a' }), { ...layer({ name: 'b' }), diffId: digestOf('another') }],
  },
  {
    name: 'a layer with one byte more behind its end than its DiffID says',
    code: 'DIFF_ID_MISMATCH',
    layers: () => {
      const tar = tarOf({ name: 'a' })
      return [{ ...layerOf(Buffer.concat([tar, Buffer.from([0])])), diffId: digestOf(tar) }]
    },
  },
  {
    name: 'an encrypted layer',
    code: 'COMPRESSION_UNSUPPORTED',
    layers: () => [
      { ...layer({ name: 'a' }), mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted' },
    ],
  },
  {
    name: 'a layer of something else',
    code: 'ARCHIVE_BROKEN',
    layers: () => [layerOf(Buffer.from(JSON.stringify({ not: 'a tar' }).repeat(100)))],
  },
]

for (const { name, code, limits, layers } of attacks)
  test(`${name} is refused, and nothing is left`, async (context) => {
    const { folder, outside, into } = scene(context)
    await assert.rejects(
      unpackImage({ layers: layers(outside), into, ...(limits && { limits }) }),
      (error) => {
        assert.ok(error instanceof LayerError, String(error))
        assert.equal(error.code, code, error.message)
        assert.ok(error.message.length < 400 && !error.message.includes('\0'))
        return true
      },
    )
    assertUntouched(folder, outside, [])
  })

interface Trick {
  readonly name: string
  readonly layers: (outside: string) => readonly LayerSource[]
  /** A file below the root that has the attacker's content in the end. */
  readonly landsAt: (outside: string) => string
}

const evil = { content: 'evil' }
const tricks: readonly Trick[] = [
  {
    name: 'writing through an absolute symlink to a folder',
    layers: (outside) => [
      layer({ name: 's', type: '2', pax: { linkpath: outside } }, { name: 's/victim', ...evil }),
    ],
    landsAt: (outside) => `${outside}/victim`,
  },
  {
    name: 'writing through a relative symlink to a folder',
    layers: () => [layer({ name: 's', type: '2', link: '../outside' }, { name: 's/victim', ...evil })],
    landsAt: () => 'outside/victim',
  },
  {
    name: 'writing through a symlink of a lower layer',
    layers: () => [
      layer({ name: 'a/b/s', type: '2', link: '../../../outside' }),
      layer({ name: 'a/b/s/victim', ...evil }),
    ],
    landsAt: () => 'outside/victim',
  },
  {
    name: 'writing over a symlink to a file',
    layers: (outside) => [
      layer({ name: 's', type: '2', pax: { linkpath: `${outside}/victim` } }, { name: 's', ...evil }),
    ],
    landsAt: () => 's',
  },
  {
    name: 'writing over a hard link to a symlink to a file',
    layers: (outside) => [
      layer(
        { name: 's', type: '2', pax: { linkpath: `${outside}/victim` } },
        { name: 'h', type: '1', link: 's' },
        { name: 'h', ...evil },
      ),
    ],
    landsAt: () => 'h',
  },
  {
    name: 'a chain of symlinks, each harmless',
    layers: () => [
      layer(
        { name: 'a/b/c/' },
        { name: 'a/b/c/up', type: '2', link: '..' },
        { name: 'a/b/up', type: '2', link: 'c/up/..' },
        { name: 'x', type: '2', link: 'a/b/up/../../outside' },
        { name: 'x/victim', ...evil },
      ),
    ],
    landsAt: () => 'outside/victim',
  },
  {
    name: 'a folder that becomes a symlink',
    layers: (outside) => [
      layer(
        { name: 'd/' },
        { name: 'd', type: '2', pax: { linkpath: outside } },
        { name: 'd/victim', ...evil },
      ),
    ],
    landsAt: (outside) => `${outside}/victim`,
  },
  {
    name: 'a symlink to the root of the host',
    layers: (outside) => [
      layer({ name: 'r', type: '2', link: '/' }, { name: 'v', pax: { path: `r${outside}/victim` }, ...evil }),
    ],
    landsAt: (outside) => `${outside}/victim`,
  },
  {
    name: 'whiteouts and opaque marks through a symlink',
    layers: (outside) => [
      layer({ name: 's', type: '2', pax: { linkpath: outside } }, { name: 'f', ...evil }),
      layer({ name: 's/.wh.victim' }, { name: 's/.wh..wh..opq' }, { name: 's/.wh.x' }),
    ],
    landsAt: () => 'f',
  },
  {
    name: 'an absolute name',
    layers: (outside) => [layer({ name: 'x', pax: { path: `${outside}/victim` }, ...evil })],
    landsAt: (outside) => `${outside}/victim`,
  },
  {
    name: 'a mode, owner and time for a symlink to the outside',
    layers: (outside) => [
      layer(
        { name: 's', type: '2', pax: { linkpath: outside }, mode: 0o777, mtime: 1, uid: 9 },
        { name: 's', type: '1', link: 's', mode: 0, mtime: 1, uid: 9 },
        { name: 'f', ...evil },
      ),
    ],
    landsAt: () => 'f',
  },
]

for (const { name, layers, landsAt } of tricks)
  test(`${name} stays inside the root`, async (context) => {
    const { folder, outside, into } = scene(context)
    await unpackImage({ layers: layers(outside), into })
    assertUntouched(folder, outside, ['root'])
    assert.equal(readFileSync(join(into, landsAt(outside)), 'utf8'), 'evil')
  })

test('a gigabyte of zeros in a megabyte of gzip stops at the ratio, in little memory', async (context) => {
  const { folder, outside, into } = scene(context)
  const zeros = Buffer.alloc(1_000_000)
  // Every megabyte after the first compresses the same, so the bomb is made as it is read.
  const bomb: LayerSource = {
    mediaType: '',
    diffId: digestFrom('sha256', createHash('sha256').digest('hex')),
    async *open() {
      const gzip = createGzip()
      const feed = async () => {
        gzip.write(header({ name: 'zeros', size: 1_000_000_000 }))
        for (let megabyte = 0; megabyte < 1000 && !gzip.destroyed; megabyte += 1)
          await new Promise((resolve) => gzip.write(zeros, resolve))
        gzip.end()
      }
      feed().catch(() => {})
      try {
        for await (const chunk of gzip) yield chunk as Buffer
      } finally {
        gzip.destroy()
      }
    },
  }
  const before = process.memoryUsage().rss
  const limits = { ratioFreeBytes: 50_000_000, compressionRatioMax: 100 }
  await assert.rejects(unpackImage({ layers: [bomb], into, limits }), { code: 'LIMIT_PASSED' })
  assert.ok(process.memoryUsage().rss - before < 200_000_000)
  assertUntouched(folder, outside, [])
})

test('opaque marks by the thousand cost no more than their number', { timeout: 30_000 }, async (context) => {
  const { into } = scene(context)
  const files = Array.from({ length: 3000 }, (_, index) => ({ name: `d/${index}`, type: '1', link: 'f' }))
  const marks = Array.from({ length: 20_000 }, () => ({ name: 'd/.wh..wh..opq' }))
  await unpackImage({ layers: [layer({ name: 'f' }, ...files, ...marks)], into })
  assert.equal(readdirSync(join(into, 'd')).length, 3000)
})

test('where the disk has a name that the tree does not know (it folds case, say), nothing goes through it', async (context) => {
  const { folder, outside } = scene(context)
  // As a file system that takes "S" and "s" for one name would show it: the way is blocked by a symlink.
  symlinkSync(outside, join(folder, 's'))
  symlinkSync(join(outside, 'victim'), join(folder, 'v'))
  const disk: Disk = { root: folder, asRoot: process.getuid?.() === 0, skip: () => assert.fail() }
  const budget = new LayerBudget()
  const tree = new ImageTree(budget)
  for await (const entry of readLayer(layer({ name: 'f', ...evil }), { budget })) tree.apply(entry)
  const inode = tree.root.children?.get('f')?.inode
  assert.ok(inode)
  const refused = { code: 'WRITE_FAILED' }
  await assert.rejects(makeFolder(disk, ['s']), refused)
  await assert.rejects(makeFile(disk, ['v'], inode, inPieces(Buffer.from('evil'), 9)), refused)
  await assert.rejects(makeSymlink(disk, ['v'], { ...inode, kind: 'symlink', target: 'x' }), refused)
  await assert.rejects(makeLink(disk, ['v'], ['s']), refused)
  assertUntouched(folder, outside, ['s', 'v'])
})
