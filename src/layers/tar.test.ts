import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { header, inPieces, member, paxRecord, sealed, tarOf } from '#layers/crafted-tar.suite.ts'
import { LayerError } from '#layers/layer-error.ts'
import { LayerBudget, type LayerLimits } from '#layers/limits.ts'
import { bytesOfText, textOfBytes } from '#layers/path-text.ts'
import { type LayerEntry, tarEntries } from '#layers/tar.ts'

type Read = Omit<LayerEntry, 'content'> & { content: Buffer }

async function readAll(
  tar: Uint8Array,
  limits: Partial<LayerLimits> = {},
  pieceBytes = 700,
): Promise<Read[]> {
  const entries: Read[] = []
  for await (const { content, ...facts } of tarEntries(inPieces(tar, pieceBytes), new LayerBudget(limits))) {
    const pieces: Buffer[] = []
    for await (const chunk of content) pieces.push(Buffer.from(chunk))
    entries.push({ ...facts, content: Buffer.concat(pieces) })
  }
  return entries
}

const code = (wanted: string) => (error: unknown) => {
  assert.ok(error instanceof LayerError, String(error))
  assert.equal(error.code, wanted)
  return true
}

test('every field of a header and the content come out, in pieces of any size', async () => {
  const tar = tarOf(
    { name: 'dir/', mode: 0o1777, uid: 12, gid: 34 },
    { name: 'dir/file', content: 'x'.repeat(1500), mode: 0o4755, mtime: 123 },
    { name: 'empty' },
    { name: 'sym', type: '2', link: '../up' },
    { name: 'hard', type: '1', link: 'dir/file', size: 1500 },
    { name: 'null', type: '3', device: [1, 3] },
    { name: 'pipe', type: '6' },
  )
  for (const pieceBytes of [1, 511, 512, 10_000]) {
    const [dir, file, empty, sym, hard, device, pipe] = await readAll(tar, {}, pieceBytes)
    assert.deepEqual([dir?.kind, dir?.mode, dir?.uid, dir?.gid], ['folder', 0o1777, 12, 34])
    assert.deepEqual([file?.kind, file?.mode, file?.mtime, file?.size], ['file', 0o4755, 123, 1500])
    assert.equal(file?.content.toString(), 'x'.repeat(1500))
    assert.deepEqual([empty?.size, empty?.content.length], [0, 0])
    assert.deepEqual([sym?.kind, sym?.linkName], ['symlink', '../up'])
    assert.deepEqual([hard?.kind, hard?.linkName, hard?.size], ['link', 'dir/file', 0])
    assert.deepEqual([device?.kind, device?.deviceMajor, device?.deviceMinor], ['character-device', 1, 3])
    assert.equal(pipe?.kind, 'fifo')
  }
})

test('content that nobody reads is passed over', async () => {
  const tar = tarOf({ name: 'a', content: 'x'.repeat(3000) }, { name: 'b', content: 'y' })
  const names: string[] = []
  for await (const entry of tarEntries(inPieces(tar, 100), new LayerBudget())) names.push(entry.name)
  assert.deepEqual(names, ['a', 'b'])
})

test('pax records give long names, exact times, large owners and binary attributes', async () => {
  const capability = Buffer.from([1, 0, 0, 2, 0, 32, 0, 0, 0xff, 0xfe, 10, 61, 32, 0])
  const [entry] = await readAll(
    tarOf({
      name: 'short',
      type: '2',
      pax: {
        path: `${'long/'.repeat(60)}name`,
        linkpath: 'target/'.repeat(40),
        mtime: '1700000000.25',
        uid: '4000000000',
        gid: '3000000',
        'SCHILY.xattr.security.capability': capability,
        'SCHILY.xattr.user.empty': '',
        comment: 'passed over',
      },
    }),
  )
  assert.equal(entry?.name, `${'long/'.repeat(60)}name`)
  assert.equal(entry?.linkName, 'target/'.repeat(40))
  assert.deepEqual([entry?.mtime, entry?.uid, entry?.gid], [1700000000.25, 4_000_000_000, 3_000_000])
  assert.deepEqual([...(entry?.xattrs ?? [])], [['security.capability', capability]])
})

test('pax records belong to one entry only, and global ones to none', async () => {
  const global = paxRecord('path', 'everywhere')
  const tar = Buffer.concat([
    header({ name: 'pax_global_header', type: 'g', size: global.length }),
    Buffer.concat([global, Buffer.alloc(512 - global.length)]),
    member({ name: 'a', pax: { path: 'renamed' } }),
    member({ name: 'b' }),
    Buffer.alloc(1024),
  ])
  assert.deepEqual(
    (await readAll(tar)).map(({ name }) => name),
    ['renamed', 'b'],
  )
})

test('GNU long names and links, ustar prefixes, and folders of old tars are understood', async () => {
  const long = Buffer.from(`${'n'.repeat(300)}\0`)
  const fill = Buffer.alloc(512 - long.length)
  const prefixed = header({ name: 'name' })
  prefixed.write('some/prefix', 345)
  const tar = Buffer.concat([
    header({ name: '././@LongLink', type: 'L', size: long.length }),
    long,
    fill,
    header({ name: '././@LongLink', type: 'K', size: long.length }),
    long,
    fill,
    member({ name: 'short', type: '1', link: 'short' }),
    sealed(prefixed),
    member({ name: 'old/', type: '\0' }),
    member({ name: 'old-file', type: '\0', content: 'z' }),
    Buffer.alloc(1024),
  ])
  const [linked, inPrefix, folder, file] = await readAll(tar)
  assert.equal(linked?.name, 'n'.repeat(300))
  assert.equal(linked?.linkName, 'n'.repeat(300))
  assert.equal(inPrefix?.name, 'some/prefix/name')
  assert.equal(folder?.kind, 'folder')
  assert.equal(file?.content.toString(), 'z')
})

test('a base-256 size and a negative time are numbers', async () => {
  const block = header({ name: 'a', content: '' })
  block.fill(0, 124, 136)
  block[124] = 0x80
  block[135] = 3
  block.fill(0xff, 136, 148)
  const tar = Buffer.concat([sealed(block), Buffer.concat([Buffer.from('abc'), Buffer.alloc(509)])])
  const [entry] = await readAll(tar)
  assert.deepEqual([entry?.size, entry?.mtime, entry?.content.toString()], [3, -1, 'abc'])
})

test('a name that is not UTF-8 comes back byte for byte', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      assert.deepEqual(bytesOfText(textOfBytes(bytes)), Buffer.from(bytes))
    }),
  )
  assert.equal(textOfBytes(Buffer.from('Főtanúsítvány')), 'Főtanúsítvány')
  const joined = `${textOfBytes(Buffer.from([0xe9]))}/ü/😀`
  assert.deepEqual(bytesOfText(joined), Buffer.concat([Buffer.from([0xe9]), Buffer.from('/ü/😀')]))
})

for (const format of [['gnu'], ['posix', '0.0'], ['posix', '0.1'], ['posix', '1.0']] as const)
  test(`a file with holes has them filled (GNU tar, ${format.join(' ')})`, async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'stowage-sparse-'))
    context.after(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'holes')
    const expected = Buffer.alloc(2_000_000)
    // Enough parts to need a second block of GNU's old map.
    for (let at = 0; at < 30; at += 1) expected.write(`part ${at}`, at * 65_536)
    writeFileSync(path, '')
    truncateSync(path, expected.length)
    const script = `for i in $(seq 0 29); do printf 'part %d' $i | dd of=${path} bs=65536 seek=$i conv=notrunc status=none; done`
    execFileSync('sh', ['-c', script])
    const args = [
      '--sparse',
      `--format=${format[0]}`,
      ...(format[1] ? [`--sparse-version=${format[1]}`] : []),
    ]
    let tar: Buffer
    try {
      tar = execFileSync('tar', [...args, '-cf', '-', 'holes'], { cwd: folder, maxBuffer: 8_000_000 })
    } catch {
      context.skip('tar here is not GNU tar')
      return
    }
    assert.ok(tar.length < expected.length / 2, 'tar kept the holes')
    const [entry] = await readAll(tar)
    assert.equal(entry?.name, 'holes')
    assert.equal(entry?.size, expected.length)
    assert.ok(entry?.content.equals(expected))
  })

const good = tarOf({ name: 'a', content: 'x'.repeat(600), pax: { path: 'b' } })

test('a tar that ends anywhere but between entries is cut short', async () => {
  // pax header, its record, the header, two blocks of content, two of the end
  for (const end of [1, 511, 512, 700, 1024, 1300, 1536, 2000, 2048, 2135])
    await assert.rejects(readAll(good.subarray(0, end)), code('ARCHIVE_BROKEN'), `cut at ${end}`)
  assert.deepEqual(await readAll(good.subarray(0, 0)), [])
})

test('the end markers may be missing, and the padding of the last file, as `umoci insert` leaves them', async () => {
  for (const end of [2136, 2200, 2560, 3072, 3584]) {
    const [entry, ...more] = await readAll(good.subarray(0, end))
    assert.deepEqual([entry?.name, entry?.content.length, more.length], ['b', 600, 0])
  }
})

test('content asked for too late is an error, not the bytes of the next entry', async () => {
  const contents: AsyncIterable<Uint8Array>[] = []
  for await (const { content } of tarEntries(inPieces(good, 100), new LayerBudget())) contents.push(content)
  await assert.rejects(async () => {
    for await (const _ of contents[0] ?? []);
  }, /only before the next entry/)
})

test('what stands behind the end of the archive is not looked at', async () => {
  const tar = Buffer.concat([tarOf({ name: 'a' }), Buffer.from('anything'), tarOf({ name: 'hidden' })])
  assert.deepEqual(
    (await readAll(tar)).map(({ name }) => name),
    ['a'],
  )
})

const pax = (records: Buffer | string) => {
  const bytes = Buffer.from(records)
  const fill = Buffer.alloc((512 - (bytes.length % 512)) % 512)
  const head = header({ name: 'x', type: 'x', size: bytes.length })
  return Buffer.concat([head, bytes, fill, tarOf({ name: 'a' })])
}
const wrongSum = tarOf({ name: 'a' })
wrongSum[0] = 0x62

const wrong: readonly { name: string; tar: Buffer }[] = [
  { name: 'text', tar: Buffer.from('this is no tar at all'.repeat(100)) },
  { name: 'a wrong checksum', tar: wrongSum },
  { name: 'a type that nobody knows', tar: tarOf({ name: 'a', type: 'Z' }) },
  { name: 'a pax record without a length', tar: pax('path=a\n') },
  { name: 'a pax record longer than its header', tar: pax('99 path=a\n') },
  { name: 'a pax record without a value', tar: pax('8 path\n\n') },
  { name: 'a pax record of negative length', tar: pax('-9 path=a\n') },
  { name: 'a pax path with a NUL', tar: tarOf({ name: 'a', pax: { path: 'a\0b' } }) },
  { name: 'a pax size that is no number', tar: tarOf({ name: 'a', pax: { size: '1e9' } }) },
  { name: 'a negative pax size', tar: tarOf({ name: 'a', pax: { size: '-512' } }) },
  { name: 'a pax time that is no number', tar: tarOf({ name: 'a', pax: { mtime: 'NaN' } }) },
  {
    name: 'an owner that chown would take as "leave it"',
    tar: tarOf({ name: 'a', pax: { uid: '4294967295' } }),
  },
  { name: 'a header that never comes', tar: pax('').subarray(0, 512) },
  {
    name: 'a sparse map that overlaps',
    tar: tarOf({ name: 'a', content: 'xx', pax: { 'GNU.sparse.size': '9', 'GNU.sparse.map': '0,1,0,1' } }),
  },
  {
    name: 'a sparse map that leaves the file',
    tar: tarOf({ name: 'a', content: 'x', pax: { 'GNU.sparse.size': '9', 'GNU.sparse.map': '9,1' } }),
  },
  {
    name: 'a sparse map for more than its data',
    tar: tarOf({ name: 'a', content: 'x', pax: { 'GNU.sparse.size': '9', 'GNU.sparse.map': '0,5' } }),
  },
  {
    name: 'extended headers without end',
    tar: Buffer.concat([
      ...Array.from({ length: 20 }, () => header({ name: 'x', type: 'x', size: 0 })),
      good,
    ]),
  },
]

for (const { name, tar } of wrong)
  test(`${name} is refused`, async () => {
    await assert.rejects(readAll(tar), code('ARCHIVE_BROKEN'))
  })

test('a header that claims a huge extended header is refused before it is read', async () => {
  const claim = header({ name: 'x', type: 'x', size: 8 * 1024 ** 3 - 1 })
  await assert.rejects(readAll(claim), code('LIMIT_PASSED'))
})

test('a sparse file of petabytes in a few bytes is refused before its holes are filled', async () => {
  const tar = tarOf({ name: 'a', pax: { 'GNU.sparse.size': String(2 ** 50), 'GNU.sparse.map': '0,0' } })
  await assert.rejects(readAll(tar), code('LIMIT_PASSED'))
})

test('whatever bytes are changed, the reader gives entries or says that the archive is wrong', async () => {
  const seed = Buffer.concat([
    member({ name: 'a', content: 'x'.repeat(600), pax: { path: 'b', 'SCHILY.xattr.user.a': 'v' } }),
    member({ name: 's', content: 'x', pax: { 'GNU.sparse.size': '900', 'GNU.sparse.map': '5,1' } }),
    member({ name: 'l', type: '1', link: 'b' }),
    Buffer.alloc(1024),
  ])
  const edit = fc.record({ at: fc.nat(seed.length - 1), byte: fc.nat(255) })
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 6 }), fc.boolean(), async (edits, seal) => {
      const tar = Buffer.from(seed)
      for (const { at, byte } of edits) tar[at] = byte
      // With a checksum that fits, the edit reaches the parser.
      if (seal)
        for (let at = 0; at < tar.length - 1024; at += 512)
          if (tar[at + 257] === 0x75) sealed(tar.subarray(at, at + 512))
      try {
        await readAll(tar, { fileBytesMax: 1e6 })
      } catch (error) {
        assert.ok(error instanceof LayerError, String(error))
      }
    }),
    { numRuns: 300 },
  )
})
