import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { ArchivePlace } from '#client/archive-place.ts'
import { ArchiveWriter } from '#client/archive-writer.ts'
import { copy } from '#client/copy.ts'
import { readLinks } from '#client/graph.ts'
import { MemoryPlace } from '#client/memory-place.ts'
import { indexTar } from '#client/tar-index.ts'
import { tarHeader, tarPadding } from '#client/tar-write.ts'
import { readBlob } from '#client/verify.ts'
import { digestOf } from '#oci/digest.ts'
import { parseTag } from '#oci/reference.ts'
import { LATEST, putImage, putIndex } from '../../test/client/made-images.ts'

const run = promisify(execFile)
let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'archive-'))
})
after(() => rm(folder, { recursive: true, force: true }))

describe('an archive that we write', () => {
  test('is a sound tar to GNU tar, and holds a layout and what docker load wants', async () => {
    const memory = new MemoryPlace()
    const image = await putImage(memory, [100, 200_000], LATEST)
    const path = join(folder, 'ours.tar')
    const writer = new ArchiveWriter(path, { dockerName: 'example.org/team/app' })
    await copy(memory, writer, { reference: { tag: LATEST }, tags: [parseTag('v1')] })
    await writer.finish()
    const out = join(folder, 'ours')
    await mkdir(out)
    await run('tar', ['-xf', path, '-C', out])
    const files = await readdir(out, { recursive: true })
    assert.deepEqual(files.filter((name) => !name.includes('/')).sort(), [
      'blobs',
      'index.json',
      'manifest.json',
      'oci-layout',
    ])
    assert.equal(files.filter((name) => /^blobs\/sha256\/[0-9a-f]{64}$/.test(name)).length, 4)
    const archive = await ArchivePlace.open(path)
    assert.equal((await archive.resolve({ tag: parseTag('v1') }))?.digest, image.descriptor.digest)
  })

  test('is not there before it is finished, and nothing is left when it is given up', async () => {
    const memory = new MemoryPlace()
    await putImage(memory, [100], LATEST)
    const path = join(folder, 'never.tar')
    const writer = new ArchiveWriter(path)
    await copy(memory, writer, { reference: { tag: LATEST }, tags: [LATEST] })
    await assert.rejects(ArchivePlace.open(path), { kind: 'not-found' })
    await writer.discard()
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.includes('never')),
      [],
    )
  })

  test('for docker load takes single images, and says how to choose one', async () => {
    const memory = new MemoryPlace()
    await putIndex(memory, [{ os: 'linux', architecture: 'amd64' }], LATEST)
    const writer = new ArchiveWriter(join(folder, 'index.tar'), { dockerName: 'app' })
    const failed = copy(memory, writer, { reference: { tag: LATEST }, tags: [LATEST] })
    await assert.rejects(failed, { kind: 'invalid', hint: /choose one platform/ })
    await writer.discard()
  })

  test('that lacks a blob is not finished', async () => {
    const writer = new ArchiveWriter(join(folder, 'broken.tar'))
    const descriptor = { mediaType: 'text/plain', digest: digestOf('abc'), size: 3 }
    const content = { whole: () => assert.fail('unreadable'), from: () => assert.fail('not asked for') }
    await assert.rejects(writer.pushBlob(descriptor, content))
    await writer.discard()
  })
})

describe('an archive of docker save', () => {
  async function save(
    layers: readonly { name: string; bytes?: Buffer; link?: string }[],
    diffIds: readonly string[],
  ) {
    const source = await mkdtemp(join(folder, 'save-'))
    const config = Buffer.from(
      JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: diffIds } }),
    )
    const configName = `${digestOf(config).slice(7)}.json`
    await writeFile(join(source, configName), config)
    for (const { name, bytes, link } of layers) {
      await mkdir(join(source, name, '..'), { recursive: true })
      if (bytes) await writeFile(join(source, name), bytes)
      if (link) await symlink(link, join(source, name))
    }
    const manifest = [
      {
        Config: configName,
        RepoTags: ['app:1', 'example.org/app:2'],
        Layers: layers.map(({ name }) => name),
      },
    ]
    await writeFile(join(source, 'manifest.json'), JSON.stringify(manifest))
    const path = `${source}.tar`
    await run('tar', ['-cf', path, '-C', source, '.'])
    return path
  }

  test('gets a manifest, with plain layers, compressed ones, and links between them', async () => {
    const plain = randomBytes(70_000)
    const inner = randomBytes(3000)
    const zipped = gzipSync(inner)
    const path = await save(
      [
        { name: 'aaa/layer.tar', bytes: plain },
        { name: 'bbb/layer.tar', bytes: zipped },
        { name: 'ccc/layer.tar', link: '../aaa/layer.tar' },
      ],
      [digestOf(plain), digestOf(inner), digestOf(plain)],
    )
    const archive = await ArchivePlace.open(path)
    const manifest = await archive.manifest({ tag: parseTag('2') })
    assert.ok(manifest)
    const { layers } = readLinks(manifest)
    assert.deepEqual(
      layers.map(({ mediaType, digest }) => [mediaType.replace(/.*layer\.v1\./, ''), digest]),
      [
        ['tar', digestOf(plain)],
        ['tar+gzip', digestOf(zipped)],
        ['tar', digestOf(plain)],
      ],
    )
    const memory = new MemoryPlace()
    const result = await copy(archive, memory, { reference: { tag: parseTag('1') } })
    assert.equal(result.copied.blobs, 3)
    const [first] = layers
    assert.ok(first)
    assert.deepEqual(await readBlob(memory.blob(first), first, 100_000), plain)
  })

  test('whose layer is not what its DiffID says is corrupt', async () => {
    const path = await save(
      [{ name: 'aaa/layer.tar', bytes: randomBytes(100) }],
      [digestOf('something else')],
    )
    const archive = await ArchivePlace.open(path)
    await assert.rejects(copy(archive, new MemoryPlace(), {}), { kind: 'corrupt' })
  })
})

describe('a tar that is no image', () => {
  async function written(name: string, bytes: Buffer): Promise<string> {
    const path = join(folder, name)
    await writeFile(path, bytes)
    return path
  }

  test('is refused with a reason', async () => {
    const entry = Buffer.concat([tarHeader('readme', 5), Buffer.from('hello'), tarPadding(5)])
    const cases: readonly [string, Buffer, RegExp][] = [
      ['empty.tar', Buffer.alloc(1024), /is no image archive/],
      ['other.tar', Buffer.concat([entry, Buffer.alloc(1024)]), /is no image archive/],
      ['zipped.tar', gzipSync(randomBytes(4096)), /is compressed as a whole/],
      ['noise.tar', randomBytes(4096), /is not a sound tar archive/],
      [
        'short.tar',
        Buffer.concat([tarHeader('blob', 1_000_000), Buffer.alloc(512)]),
        /is not a sound tar archive/,
      ],
    ]
    for (const [name, bytes, expected] of cases) {
      await assert.rejects(ArchivePlace.open(await written(name, bytes)), expected)
    }
  })

  test('cannot name a file outside itself', async () => {
    const entries = ['../evil', '/abs/olute', 'a/../../evil', './fine'].map((name) =>
      Buffer.concat([tarHeader(name, 1), Buffer.from('x'), tarPadding(1)]),
    )
    const files = await indexTar(await written('paths.tar', Buffer.concat([...entries, Buffer.alloc(1024)])))
    assert.deepEqual([...files.keys()].sort(), ['abs/olute', 'fine'])
  })

  test('long names and large sizes survive the way through a header', async () => {
    const name = `blobs/sha512/${'a'.repeat(128)}`
    const bytes = Buffer.concat([tarHeader(name, 3), Buffer.from('abc'), tarPadding(3), Buffer.alloc(1024)])
    const path = await written('long.tar', bytes)
    const files = await indexTar(path)
    assert.deepEqual([...files.keys()], [name])
    assert.equal((await run('tar', ['-tf', path])).stdout.trim(), name)
    assert.match(tarHeader('x', 2 ** 40).toString('latin1'), /size=1099511627776\n/)
  })
})
