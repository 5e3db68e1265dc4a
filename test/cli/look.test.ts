// list, inspect, verify, diff, unpack, tag and delete, as a person types them, on the real server and on layout folders.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { EXIT } from '#cli/output.ts'
import { readLinks } from '#client/graph.ts'
import { encodedOf } from '#oci/digest.ts'
import { startServer, type TestServer } from '../http/server.ts'
import { type MadeLayout, makeLayout } from './made-layout.ts'
import { run, runJson, scratchFolder } from './run.ts'

const home = scratchFolder()
after(() => rmSync(home, { recursive: true }))

describe('looking at images', () => {
  let server: TestServer
  let made: MadeLayout
  let app = ''
  before(async () => {
    made = await makeLayout(join(home, 'made'))
    server = await startServer()
    app = `${server.host}/team/app`
    const pushed = await run(['push', '--all-tags', '--referrers', made.folder, app])
    assert.equal(pushed.code, EXIT.ok, pushed.notes.join('\n'))
  })
  after(() => server[Symbol.asyncDispose]())

  test('list shows the repositories of a registry and the tags of a repository or layout', async () => {
    assert.deepEqual((await run(['list', server.host])).results, ['team/app'])
    assert.deepEqual((await run(['list', app])).results, ['1', '2', 'multi'])
    assert.deepEqual((await run(['list', made.folder])).results, ['1', '2', 'multi'])
    const { tags } = await runJson(['list', '--digests', app])
    assert.deepEqual(tags[0], { tag: '1', digest: made.one.descriptor.digest })
    assert.equal((await run(['list', `${server.host}/nobody`])).code, EXIT.notFound)
  })

  test('inspect tells manifest, config, layers, sizes, history and the tree of referrers', async () => {
    const told = await runJson(['inspect', `${app}:1`])
    assert.equal(told.digest, made.one.descriptor.digest)
    assert.equal(told.run.labels.team, 'harbour')
    assert.equal(told.history[0].createdBy, 'COPY layer 0')
    assert.equal(told.layers.length, 1)
    const blobs = readLinks(made.one).blobs
    assert.equal(
      told.contentBytes,
      blobs.reduce((sum, { size }) => sum + size, 0),
    )
    assert.equal(told.referrers[0].digest, made.referrer.descriptor.digest)
    const lines = (await run(['inspect', `${app}:1`])).results.join('\n')
    assert.match(lines, new RegExp(`digest +${made.one.descriptor.digest}`))
    assert.match(lines, /referrers\n {2}└ application\/example.sbom/)
  })

  test('inspect shows the platforms of an index, one of them, its config, and the bytes as they are', async () => {
    const { platforms } = await runJson(['inspect', `${app}:multi`])
    assert.deepEqual(platforms.map(({ platform }: { platform: string }) => platform).sort(), [
      'linux/amd64',
      'linux/arm64',
    ])
    const config = await run(['inspect', '--platform', 'linux/arm64', '--config', `${app}:multi`])
    assert.equal(JSON.parse(config.results.join('\n')).architecture, 'arm64')
    const raw = await run(['inspect', '--raw', `oci:${made.folder}:multi`])
    assert.equal(raw.results[0], made.multi.bytes.toString())
    assert.equal((await run(['inspect', '--platform', 'linux/mips', `${app}:multi`])).code, EXIT.notFound)
  })

  test('verify reads every byte, remote and local', async () => {
    const remote = await runJson(['verify', '--all-tags', '--referrers', app])
    assert.deepEqual(remote.wrong, [])
    // Two images here, one elsewhere, the index, the referrer.
    assert.equal(remote.manifests, 5)
    const local = await runJson(['verify', '--all-tags', '--referrers', made.folder])
    assert.equal(local.bytes, remote.bytes)
  })

  test('verify names what is damaged and what is missing, and ends with its own code', async () => {
    const folder = join(home, 'damaged')
    await makeLayout(folder)
    const [config, layer] = readLinks(made.one).blobs
    assert.ok(config && layer)
    const path = join(folder, 'blobs/sha256', encodedOf(layer.digest))
    const bytes = readFileSync(path)
    bytes[20] = (bytes[20] ?? 0) ^ 1
    writeFileSync(path, bytes)
    rmSync(join(folder, 'blobs/sha256', encodedOf(config.digest)))
    const { code, results } = await run(['--json', 'verify', `${folder}:1`])
    assert.equal(code, EXIT.verification)
    const { wrong } = JSON.parse(results[0] ?? '')
    assert.deepEqual(
      wrong.map(({ digest }: { digest: string }) => digest).sort(),
      [config.digest, layer.digest].sort(),
    )
  })

  test('diff tells which layers, files and sizes differ', async () => {
    const report = await runJson(['diff', `${app}:1`, `oci:${made.folder}:2`])
    assert.deepEqual(
      [report.layers.shared.length, report.layers.leftOnly.length, report.layers.rightOnly.length],
      [1, 0, 1],
    )
    assert.deepEqual(
      report.changes.map(({ what, path }: { what: string; path: string }) => `${what} ${path}`),
      ['changed bin/app', 'added new.txt', 'removed old.txt'],
    )
    const lines = (await run(['diff', `${app}:1`, `${app}:2`])).results.join('\n')
    assert.match(lines, /^~ bin\/app {2}size, content {2}\+2 B$/m)
    assert.equal((await run(['diff', '--exit-code', `${app}:1`, `${app}:2`])).code, EXIT.failed)
    assert.equal((await run(['diff', '--exit-code', `${app}:1`, `${app}:1`])).code, EXIT.ok)
  })

  test('unpack assembles the root file system of a registry’s image, or a bundle of it', async () => {
    const rootfs = join(home, 'rootfs')
    const report = await runJson(['unpack', `${app}:2`, rootfs])
    assert.equal(report.layers, 2)
    assert.equal(readFileSync(join(rootfs, 'bin/app'), 'utf8'), 'the program, made better')
    assert.equal(existsSync(join(rootfs, 'old.txt')), false)
    const again = await run(['unpack', `${app}:2`, rootfs])
    assert.equal(again.code, EXIT.failed)
    assert.match(again.notes.join('\n'), /absent or empty/)
    const bundle = join(home, 'bundle')
    assert.equal((await run(['unpack', '--bundle', `${app}:multi`, bundle])).code, EXIT.ok)
    assert.deepEqual(JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')).process.args, ['/bin/app'])
    assert.ok(existsSync(join(bundle, 'rootfs/bin/app')))
  })

  test('an artifact is not unpacked: the error says what it is', async () => {
    const { code, notes } = await run([
      'unpack',
      `${app}@${made.referrer.descriptor.digest}`,
      join(home, 'artifact'),
    ])
    assert.equal(code, EXIT.failed)
    assert.match(notes.join('\n'), /no container image.*\n {2}see what it is with: stowage inspect/)
  })

  test('tag gives an image more tags, and moves them', async () => {
    const { digest, tags } = await runJson(['tag', `${app}:1`, 'stable', 'newest'])
    assert.equal(digest, made.one.descriptor.digest)
    assert.deepEqual(tags, ['stable', 'newest'])
    await runJson(['tag', `${app}:2`, 'newest'])
    assert.equal((await runJson(['inspect', `${app}:newest`])).digest, made.two.descriptor.digest)
    assert.equal((await run(['tag', `${app}:1`, 'not/a/tag'])).code, EXIT.usage)
    assert.equal((await run(['tag', `${app}:none`, 'x'])).code, EXIT.notFound)
  })

  test('delete asks at a terminal, takes a tag alone, and a manifest with all its tags', async () => {
    const target = `${server.host}/delete/app`
    await runJson(['copy', `${app}:1`, `${target}:a`, '--also-tag', 'b'])
    assert.equal((await run(['delete', target])).code, EXIT.usage)
    const refused = await run(['delete', `${target}:a`], { answer: 'no' })
    assert.equal(refused.code, EXIT.failed)
    assert.deepEqual((await run(['list', target])).results, ['a', 'b'])
    assert.equal((await run(['delete', `${target}:a`], { answer: 'y' })).code, EXIT.ok)
    assert.deepEqual((await run(['list', target])).results, ['b'])
    assert.equal((await run(['delete', `${target}:a`])).code, EXIT.notFound)
    const { deleted } = await runJson(['delete', '--yes', `${target}@${made.one.descriptor.digest}`], {
      answer: 'n',
    })
    assert.equal(deleted[0].digest, made.one.descriptor.digest)
    assert.equal((await run(['list', target])).code, EXIT.notFound)
  })

  test('a cancelled pull to an archive leaves no file behind', async () => {
    const signal = AbortSignal.abort(new Error('enough of it'))
    const file = join(home, 'cancelled.tar')
    const { code, notes } = await run(['pull', `${app}:1`, file], { signal })
    assert.equal(code, EXIT.failed)
    assert.match(notes.join('\n'), /enough of it/)
    assert.equal(existsSync(file), false)
  })
})
