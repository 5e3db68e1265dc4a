// sync and export: between the real server, another one, and folders.
import assert from 'node:assert/strict'
import { rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { EXIT } from '#cli/output.ts'
import { encodedOf } from '#oci/digest.ts'
import { makeImage, pushImage, randomContent } from '../http/content.ts'
import { startServer, type TestServer } from '../http/server.ts'
import { makeLayout } from './made-layout.ts'
import { run, runJson, scratchFolder } from './run.ts'

const home = scratchFolder()
after(() => rmSync(home, { recursive: true }))

const shared = randomContent(50_000)

describe('many repositories', () => {
  let source: TestServer
  before(async () => {
    source = await startServer({ onDisk: true })
    for (const name of ['team/a', 'team/b', 'team/deep/c', 'other/d']) {
      await pushImage(source, name, '1', makeImage([shared, randomContent(1000)]))
      await pushImage(source, name, '2', makeImage([shared, randomContent(1000)]))
    }
    const made = await makeLayout(join(home, 'made'))
    const pushed = await run(['push', '--all-tags', '--referrers', made.folder, `${source.host}/multi`])
    assert.equal(pushed.code, EXIT.ok, pushed.notes.join('\n'))
  })
  after(() => source[Symbol.asyncDispose]())

  const sync = (to: string, ...args: string[]) => ['sync', '--from', source.host, '--to', to, ...args]

  test('everything is copied, what is shared once, and proved to be equal; a second run transfers nothing', async () => {
    await using target = await startServer()
    const first = await runJson(sync(target.host, '--all'))
    assert.equal(first.repositories, 5)
    assert.deepEqual(first.failures, [])
    assert.deepEqual(first.proof.differences, [])
    assert.equal(first.proof.tags, 11)
    assert.equal(first.proof.referrers, 1)
    // Of each of the eight images: a layer and a config of its own. The shared layer once. The others: 5 layers, 3 configs,
    // and of the referrer a config and a document.
    const layersOfMade = 3
    assert.equal(first.copied.blobs, 8 * 2 + 1 + layersOfMade + 3 + 2)
    assert.ok(first.mounted.blobs >= 3, 'the shared layer is mounted into the other repositories')
    const second = await runJson(sync(target.host, '--all'))
    assert.deepEqual([second.copied.blobs, second.mounted.blobs, second.manifestsCopied.total], [0, 0, 0])
    assert.equal(second.tags.unchanged, 11)
  })

  test('names, patterns, lists and exclusions choose repositories and tags; a dry run changes nothing', async () => {
    await using target = await startServer()
    const repositories = async () => (await run(['list', target.host])).results
    const dry = await runJson(sync(target.host, 'team/**', '--tags', '1', '--dry-run'))
    assert.deepEqual([dry.tags.total, dry.tags.copied, dry.proof], [3, 3, undefined])
    assert.deepEqual(await repositories(), [])
    await runJson(sync(target.host, 'team/*', '--exclude', '**/b', '--prefix', 'mirror'))
    assert.deepEqual(await repositories(), ['mirror/team/a'])
    const list = join(home, 'list')
    writeFileSync(list, '# what we need\nother/d\n\n')
    await runJson(sync(target.host, '--list', list))
    assert.deepEqual(await repositories(), ['mirror/team/a', 'other/d'])
    assert.equal((await run(sync(target.host))).code, EXIT.usage)
    assert.equal((await run(sync(target.host, 'nobody/*'))).code, EXIT.notFound)
  })

  test('only what changed is copied: a tag that was moved, an image that is new', async () => {
    await using target = await startServer()
    await runJson(sync(target.host, 'team/a'))
    const moved = makeImage([shared, randomContent(1000)])
    await pushImage(source, 'team/a', '2', moved)
    const { tags, copied } = await runJson(sync(target.host, 'team/a'))
    assert.deepEqual([tags.copied, tags.unchanged, copied.blobs], [1, 1, 2])
  })

  test('a run that was cut off goes on, and still mounts what the earlier one sent', async () => {
    await using target = await startServer()
    await runJson(sync(target.host, 'team/a'))
    const { copied, mounted } = await runJson(sync(target.host, 'team/*'))
    assert.deepEqual([copied.blobs, mounted.blobs], [4, 1])
  })

  test('within one registry everything is mounted, nothing is sent', async () => {
    await using target = await startServer()
    await runJson(sync(target.host, 'team/a'))
    const within = ['sync', '--from', target.host, '--to', target.host, 'team/a', '--prefix', 'copy']
    const { copied, mounted, proof } = await runJson(within)
    assert.deepEqual([copied.blobs, mounted.blobs, proof.differences], [0, 5, []])
  })

  test('one repository that is broken does not keep the others from being copied', async () => {
    await using broken = await startServer({ onDisk: true })
    const bad = makeImage([randomContent(500)])
    await pushImage(broken, 'a/bad', '1', bad)
    await pushImage(broken, 'b/good', '1', makeImage())
    const digest = bad.layers[0]?.digest
    assert.ok(digest)
    const hex = encodedOf(digest)
    rmSync(join(broken.root, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data'))
    await using target = await startServer()
    const { code, results } = await run([
      '--json',
      'sync',
      '--from',
      broken.host,
      '--to',
      target.host,
      '--all',
    ])
    assert.notEqual(code, EXIT.ok)
    const report = JSON.parse(results[0] ?? '')
    assert.deepEqual(
      report.failures.map(({ repository, tag }: { repository: string; tag: string }) => [repository, tag]),
      [['a/bad', '1']],
    )
    assert.deepEqual((await run(['list', target.host])).results, ['b/good'])
  })

  test('a folder of layouts is filled, shares files, and fills a registry again', async () => {
    const folder = join(home, 'mirror')
    const report = await runJson(sync(folder, '--all'))
    assert.deepEqual(report.proof.differences, [])
    const blob = (name: string) => statSync(join(folder, name, 'blobs/sha256', encodedOf(shared.digest)))
    assert.equal(blob('team/a').ino, blob('other/d').ino)
    await using target = await startServer()
    const back = await runJson(['sync', '--from', folder, '--to', target.host, '--all'])
    assert.deepEqual(back.proof.differences, [])
    assert.equal(back.repositories, 5)
    assert.equal(back.proof.referrers, 1)
  })

  test('export writes layouts from a registry, one tag where one is named', async () => {
    const folder = join(home, 'exported')
    await runJson(['export', `${source.host}/team/a`, `${source.host}/team/b:1`, folder])
    assert.deepEqual((await run(['list', join(folder, 'team/a')])).results.sort(), ['1', '2'])
    assert.deepEqual((await run(['list', join(folder, 'team/b')])).results, ['1'])
    assert.equal((await run(['export', `${source.host}/nobody`, folder])).code, EXIT.notFound)
    assert.equal((await run(['export', 'localhost:1/a', 'localhost:2/b', folder])).code, EXIT.usage)
  })

  test('export reads the data folder of a registry, with its referrers', async () => {
    await source.restart()
    const folder = join(home, 'from-data')
    let report = await runJson(['export', '--from', source.root, '--all', folder])
    for (let tries = 0; report.repositories < 5 && tries < 50; tries++) {
      // The link files follow the facts within seconds.
      await new Promise((resolve) => setTimeout(resolve, 100))
      report = await runJson(['export', '--from', source.root, '--all', folder])
    }
    assert.deepEqual([report.repositories, report.proof.differences, report.proof.referrers], [5, [], 1])
    const { wrong } = await runJson(['verify', '--all-tags', '--referrers', join(folder, 'multi')])
    assert.deepEqual(wrong, [])
  })
})
