import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import { inPieces, layer, layerOf, tarOf } from '#layers/crafted-tar.suite.ts'
import { removeTree } from '#layers/new-folder.ts'
import type { LayerSource } from '#layers/read.ts'
import { type UnpackOptions, unpackImage } from '#layers/unpack.ts'
import { digestOf } from '#oci/digest.ts'

const isRoot = process.getuid?.() === 0
const hasTool = (name: string) => {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function scratch(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'stowage-unpack-'))
  context.after(() => removeTree(folder))
  return folder
}

async function unpacked(
  context: TestContext,
  layers: readonly LayerSource[],
  options: Partial<UnpackOptions> = {},
) {
  const into = join(scratch(context), 'root')
  const report = await unpackImage({ layers, into, ...options })
  const at = (path: string) => join(into, path)
  return { report, into, at, text: (path: string) => readFileSync(at(path), 'utf8') }
}

const names = (path: string) => readdirSync(path).sort()

test('files, folders and links of one layer appear with their content, modes and times', async (context) => {
  const { at, text, report } = await unpacked(context, [
    layer(
      { name: './', mode: 0o711, mtime: 1_600_000_000 },
      { name: './dir/', mode: 0o1777, mtime: 1_500_000_000 },
      { name: './dir/tool', content: 'run', mode: 0o6755, mtime: 1_400_000_000 },
      { name: './dir/again', type: '1', link: './dir/tool' },
      { name: './dir/sym', type: '2', link: 'tool', mtime: 1_300_000_000 },
      { name: './dir/secret', content: 's', mode: 0, pax: { mtime: '1700000000.123456789' } },
    ),
  ])
  assert.equal(text('dir/sym'), 'run')
  const tool = lstatSync(at('dir/tool'))
  assert.equal(tool.mode & 0o7777, 0o6755)
  assert.equal(tool.mtimeMs, 1_400_000_000_000)
  assert.equal(tool.ino, lstatSync(at('dir/again')).ino)
  assert.equal(lstatSync(at('dir/sym')).mtimeMs, 1_300_000_000_000)
  assert.equal(lstatSync(at('dir')).mode & 0o7777, 0o1777)
  assert.equal(lstatSync(at('dir')).mtimeMs, 1_500_000_000_000)
  assert.equal(lstatSync(at('')).mode & 0o7777, 0o711)
  assert.equal(lstatSync(at('')).mtimeMs, 1_600_000_000_000)
  assert.equal(lstatSync(at('dir/secret')).mode & 0o7777, 0)
  const exact = lstatSync(at('dir/secret'), { bigint: true }).mtimeNs
  assert.ok(exact >= 1700000000123456000n && exact <= 1700000000123457000n, String(exact))
  assert.deepEqual(report, { layers: 1, entries: 6, bytes: 4, skipped: [], skippedCount: 0 })
})

test('zstd and plain layers unpack as gzip ones do, whatever their media type says', async (context) => {
  const tar = tarOf({ name: 'a', content: 'content' })
  const stored = {
    'application/x': zstdCompressSync(tar),
    'application/vnd.oci.image.layer.v1.tar+gzip': tar,
  }
  for (const [mediaType, bytes] of Object.entries(stored)) {
    const source = { open: () => inPieces(bytes, 99), mediaType, diffId: digestOf(tar) }
    assert.equal((await unpacked(context, [source])).text('a'), 'content')
  }
})

test('a whiteout hides a file or folder of lower layers, and leaves no trace of itself', async (context) => {
  const { at } = await unpacked(context, [
    layer({ name: 'a/x', content: '1' }, { name: 'a/d/y', content: '1' }, { name: 'a/z', content: '1' }),
    layer({ name: 'a/.wh.x' }, { name: 'a/.wh.d' }, { name: 'a/.wh.absent' }, { name: 'nowhere/.wh.x' }),
  ])
  assert.deepEqual(names(at('a')), ['z'])
  assert.deepEqual(names(at('')), ['a'])
})

test('a whiteout leaves what its own layer has, before it or behind', async (context) => {
  const { at, text } = await unpacked(context, [
    layer(
      { name: 'before', content: 'old' },
      { name: 'behind', content: 'old' },
      { name: 'd/low', content: 'old' },
    ),
    layer(
      { name: 'before', content: 'new' },
      { name: '.wh.before' },
      { name: '.wh.behind' },
      { name: 'behind', content: 'new' },
      { name: 'd/' },
      { name: 'd/high', content: 'new' },
      { name: '.wh.d' },
    ),
  ])
  assert.deepEqual([text('before'), text('behind')], ['new', 'new'])
  assert.deepEqual(names(at('d')), ['high'])
})

test('an opaque folder hides all of the lower layers, in any order, also below folders of its own', async (context) => {
  const lower = layer(
    { name: 'd/low', content: '1' },
    { name: 'd/sub/low', content: '1' },
    { name: 'other/low' },
  )
  const entries = [
    { name: 'd/', mode: 0o700 },
    { name: 'd/.wh..wh..opq' },
    { name: 'd/high', content: '2' },
    { name: 'd/sub/high', content: '2' },
  ]
  for (const order of [entries, entries.toReversed()]) {
    const { at } = await unpacked(context, [lower, layer(...order)])
    assert.deepEqual(names(at('d')), ['high', 'sub'])
    assert.deepEqual(names(at('d/sub')), ['high'])
    assert.deepEqual(names(at('other')), ['low'])
  }
})

test('what a whiteout removed can come back in a later layer, without what was in it', async (context) => {
  const { at } = await unpacked(context, [
    layer({ name: 'd/', mode: 0o700, mtime: 1 }, { name: 'd/a' }),
    layer({ name: '.wh.d' }),
    layer({ name: 'd/b' }),
  ])
  assert.deepEqual(names(at('d')), ['b'])
  assert.equal(lstatSync(at('d')).mode & 0o7777, 0o755)
})

test("aufs's own records are passed over", async (context) => {
  const { at } = await unpacked(context, [
    layer({ name: 'a' }, { name: '.wh..wh.aufs' }, { name: '.wh..wh.plnk/' }, { name: '.wh..wh.orph/' }),
  ])
  assert.deepEqual(names(at('')), ['a'])
})

test('a later layer replaces a file, a symlink and a folder by something of another kind', async (context) => {
  const { at, text } = await unpacked(context, [
    layer(
      { name: 'file', content: 'old' },
      { name: 'twin', type: '1', link: 'file' },
      { name: 'folder/in', content: 'old' },
      { name: 'sym', type: '2', link: 'folder' },
      { name: 'becomes-folder' },
    ),
    layer(
      { name: 'file', content: 'new' },
      { name: 'folder', content: 'now a file' },
      { name: 'sym/', mode: 0o750 },
      { name: 'becomes-folder/' },
      { name: 'becomes-folder/in' },
    ),
  ])
  assert.equal(text('file'), 'new')
  assert.equal(text('twin'), 'old')
  assert.equal(text('folder'), 'now a file')
  assert.ok(lstatSync(at('sym')).isDirectory())
  assert.deepEqual(names(at('becomes-folder')), ['in'])
})

test('a folder keeps its own time and mode when a later layer writes into it', async (context) => {
  const { at } = await unpacked(context, [
    layer({ name: 'd/', mode: 0o555, mtime: 1_000_000_000 }, { name: 'd/a' }),
    layer({ name: 'd/b' }, { name: 'd/.wh.a' }),
  ])
  assert.deepEqual(names(at('d')), ['b'])
  assert.equal(lstatSync(at('d')).mode & 0o7777, 0o555)
  assert.equal(lstatSync(at('d')).mtimeMs, 1_000_000_000_000)
})

test('a path through a symlink of the image goes where the symlink leads inside the root', async (context) => {
  const { text } = await unpacked(context, [
    layer(
      { name: 'usr/bin/' },
      { name: 'bin', type: '2', link: 'usr/bin' },
      { name: 'deep/a/abs', type: '2', link: '/usr/../usr/bin' },
      { name: 'deep/up', type: '2', link: '../../../../usr' },
      { name: 'dangling', type: '2', link: 'made/here' },
    ),
    layer(
      { name: 'bin/one', content: '1' },
      { name: 'deep/a/abs/two', content: '2' },
      { name: 'deep/up/bin/three', content: '3' },
      { name: 'dangling/four', content: '4' },
    ),
    layer({ name: 'bin/.wh.three' }, { name: 'five', type: '1', link: 'bin/one' }),
  ])
  assert.deepEqual([text('usr/bin/one'), text('usr/bin/two')], ['1', '2'])
  assert.equal(text('made/here/four'), '4')
  assert.equal(text('five'), '1')
  assert.throws(() => text('usr/bin/three'), { code: 'ENOENT' })
})

test('a hard link to a symlink is another name of the symlink, and one to itself changes nothing', async (context) => {
  const { at, text } = await unpacked(context, [
    layer(
      { name: 'file', content: 'kept' },
      { name: 'sym', type: '2', link: 'file' },
      { name: 'sym2', type: '1', link: 'sym' },
      { name: 'file', type: '1', link: 'file' },
      { name: 'absolute', type: '1', link: '/file' },
    ),
    layer({ name: 'sym2', type: '1', link: 'sym' }, { name: 'upper', type: '1', link: 'file' }),
  ])
  assert.equal(readlinkSync(at('sym2')), 'file')
  assert.equal(text('file'), 'kept')
  assert.equal(lstatSync(at('file')).nlink, 3)
})

test('names that differ in case, or are not UTF-8, are names of their own', async (context) => {
  const latin = Buffer.from('caf\xe9', 'latin1')
  const { into, text } = await unpacked(context, [
    layer(
      { name: 'A', content: 'upper' },
      { name: 'a', content: 'lower' },
      { name: latin, content: 'x' },
      { name: 'to', type: '2', link: latin },
      { name: 'hard', type: '1', link: latin },
    ),
    layer({ name: Buffer.concat([Buffer.from('.wh.'), latin]) }),
  ])
  assert.deepEqual([text('A'), text('a'), text('hard')], ['upper', 'lower', 'x'])
  assert.ok(!readdirSync(into, 'buffer').some((name) => name.equals(latin)))
  assert.deepEqual(readlinkSync(join(into, 'to'), 'buffer'), latin)
})

test('owners, device nodes and fifos are made for root', {
  skip: !isRoot && 'needs root',
}, async (context) => {
  const { at, report } = await unpacked(context, [
    layer(
      { name: 'd/', uid: 10, gid: 20, mode: 0o2750 },
      { name: 'd/f', uid: 30, gid: 40, mode: 0o4711 },
      { name: 'd/l', type: '2', link: '/etc/shadow', uid: 50, gid: 60 },
      { name: 'null', type: '3', device: [1, 3], mode: 0o666, uid: 7 },
      { name: 'loop', type: '4', device: [7, 300], mode: 0o660 },
      { name: 'pipe', type: '6', mode: 0o622, mtime: 5 },
    ),
  ])
  const facts = (path: string) => {
    const { uid, gid, mode } = lstatSync(at(path))
    return [uid, gid, mode & 0o7777]
  }
  assert.deepEqual(facts('d'), [10, 20, 0o2750])
  assert.deepEqual(facts('d/f'), [30, 40, 0o4711])
  assert.deepEqual(facts('d/l').slice(0, 2), [50, 60])
  assert.deepEqual(facts('null'), [7, 0, 0o666])
  assert.ok(lstatSync(at('null')).isCharacterDevice())
  assert.equal(lstatSync(at('null')).rdev, 0x103)
  assert.ok(lstatSync(at('loop')).isBlockDevice())
  assert.equal(lstatSync(at('loop')).rdev, 0x10072c)
  assert.ok(lstatSync(at('pipe')).isFIFO())
  assert.equal(lstatSync(at('pipe')).mtimeMs, 5000)
  assert.equal(report.skippedCount, 0)
})

test('without root everything is ours, and device nodes are reported', async (context) => {
  const layers = [
    layer(
      { name: 'd/', uid: 10, gid: 20, mode: 0o555 },
      { name: 'd/f', uid: 30, gid: 40, mode: 0o400 },
      { name: 'null', type: '3', device: [1, 3] },
      { name: 'null2', type: '1', link: 'null' },
      { name: 'pipe', type: '6' },
    ),
    layer({ name: '.wh.null' }),
  ]
  const { at, report } = await unpacked(context, layers, { asRoot: false })
  assert.equal(lstatSync(at('d/f')).uid, process.getuid?.())
  assert.ok(lstatSync(at('pipe')).isFIFO())
  assert.deepEqual(names(at('')), ['d', 'pipe'])
  assert.deepEqual(report.skipped, [
    { path: 'null', what: 'device', why: 'only root may make device nodes' },
    { path: 'null2', what: 'link', why: 'its target was skipped' },
  ])
})

const noAttr = !hasTool('setfattr') && 'needs setfattr and getfattr (package attr)'
test('extended attributes are set byte for byte, on files and folders', { skip: noAttr }, async (context) => {
  const binary = Buffer.from([0, 255, 10, 61, 128])
  const pax = { 'SCHILY.xattr.user.binary': binary, 'SCHILY.xattr.user.text': 'value' }
  const { at, report } = await unpacked(context, [
    layer({ name: 'd/', pax, mode: 0o555 }, { name: 'd/f', pax, mode: 0o444 }),
  ])
  for (const path of ['d', 'd/f']) {
    const read = (name: string) =>
      execFileSync('getfattr', ['--absolute-names', '--only-values', '-n', name, at(path)])
    assert.deepEqual(read('user.binary'), binary)
    assert.equal(read('user.text').toString(), 'value')
  }
  assert.equal(report.skippedCount, 0)
})

test('attributes that belong to the host, or that the system refuses, are reported', async (context) => {
  const pax = (name: string) => ({ [`SCHILY.xattr.${name}`]: 'x' })
  const { text, report } = await unpacked(context, [
    layer(
      { name: 'a', content: 'a', pax: pax('security.selinux') },
      { name: 'b/', pax: pax('trusted.overlay.opaque') },
      { name: 'c', content: 'c', pax: pax('nonsense.namespace') },
    ),
  ])
  assert.deepEqual([text('a'), text('c')], ['a', 'c'])
  const skipped = report.skipped.map(({ path, what }) => `${path} ${what}`).sort()
  assert.deepEqual(skipped, ['a security.selinux', 'b trusted.overlay.opaque', 'c nonsense.namespace'])
})

test('an image without layers is an empty folder', async (context) => {
  const { at } = await unpacked(context, [])
  assert.deepEqual(names(at('')), [])
  assert.equal(statSync(at('')).mode & 0o777, 0o755)
})

test('the destination may be an empty folder, but nothing else', async (context) => {
  const folder = scratch(context)
  mkdirSync(join(folder, 'empty'))
  mkdirSync(join(folder, 'full'))
  writeFileSync(join(folder, 'full', 'mine'), 'kept')
  writeFileSync(join(folder, 'file'), 'kept')
  const layers = [layer({ name: 'a' })]
  await unpackImage({ layers, into: join(folder, 'empty') })
  assert.deepEqual(names(join(folder, 'empty')), ['a'])
  for (const name of ['full', 'file'])
    await assert.rejects(unpackImage({ layers, into: join(folder, name) }), { code: 'DESTINATION_OCCUPIED' })
  assert.deepEqual(names(folder), ['empty', 'file', 'full'])
  assert.deepEqual(names(join(folder, 'full')), ['mine'])
})

test('bytes are reported by layer as they are taken, and a signal stops the work without a trace', async (context) => {
  const folder = scratch(context)
  const layers = [layer({ name: 'a' }), layer({ name: 'b', content: Buffer.alloc(100_000, 'x') })]
  const seen = [0, 0]
  await unpackImage({
    layers,
    into: join(folder, 'whole'),
    onBytes: (index, bytes) => {
      seen[index] = (seen[index] ?? 0) + bytes
    },
  })
  assert.ok(seen.every((bytes) => bytes > 50))
  const abort = new AbortController()
  const stopped = unpackImage({
    layers,
    into: join(folder, 'stopped'),
    signal: abort.signal,
    onBytes: (index) => index === 1 && abort.abort(new Error('enough')),
  })
  await assert.rejects(stopped, /enough/)
  assert.deepEqual(names(folder), ['whole'])
})

test('a file of several gigabytes of zeros is refused by limit, not by memory', async (context) => {
  const before = process.memoryUsage().rss
  const into = join(scratch(context), 'root')
  const source = layerOf(tarOf({ name: 'a', content: Buffer.alloc(30_000_000) }))
  await assert.rejects(unpackImage({ layers: [source], into, limits: { fileBytesMax: 20_000_000 } }), {
    code: 'LIMIT_PASSED',
  })
  assert.ok(!existsSync(into))
  assert.ok(process.memoryUsage().rss - before < 300_000_000)
})
