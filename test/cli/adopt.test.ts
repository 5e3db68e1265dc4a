// adopt, on a folder in the shape of registry:2's, sound and broken.
import assert from 'node:assert/strict'
import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { tagCurrentLink } from '#blobs/layout.ts'
import { EXIT } from '#cli/output.ts'
import { RegistryTree } from '#maintenance/registry-tree.ts'
import { verifyTree } from '#maintenance/verify-tree.ts'
import { digestOf } from '#oci/digest.ts'
import { parseRepositoryName, parseTag } from '#oci/reference.ts'
import { makeImage, randomContent } from '../http/content.ts'
import { dataOf, putImage, write } from './registry-folder.ts'
import { run, runJson, scratchFolder } from './run.ts'

const home = scratchFolder()
after(() => rmSync(home, { recursive: true }))

describe('a folder of registry:2', () => {
  const root = join(home, 'data')
  const shared = randomContent(2000)
  const app = makeImage([shared])
  const web = makeImage([shared, randomContent(100)])
  before(() => {
    putImage(root, 'team/app', '1', app)
    putImage(root, 'team/web', 'latest', web)
    const subject = {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: app.manifest.digest,
      size: app.manifest.bytes.length,
    }
    putImage(
      root,
      'team/app',
      `${app.manifest.digest.replace(':', '-')}.sig`,
      makeImage([randomContent(10)], { subject }),
    )
    write('', dataOf(root, digestOf('nobody names me')), 'nobody names me')
    write(root, 'docker/registry/v2/repositories/team/app/_uploads/1234/data', 'half')
  })

  test('the report counts what is there, and changes nothing', async () => {
    const before = readdirSync(root, { recursive: true })
    const found = await runJson(['adopt', root])
    assert.deepEqual(
      [found.repositories, found.tags, found.manifests, found.blobs, found.layerLinks, found.referrers],
      [2, 3, 3, 10, 7, 1],
    )
    assert.deepEqual(found.unreferenced, { blobs: 1, bytes: 15 })
    assert.equal(found.unfinishedUploads, 1)
    assert.equal(found.dryRun, true)
    assert.deepEqual([found.danglingCount, found.corruptCount], [0, 0])
    assert.equal(found.attached[0].kind, 'signature')
    assert.equal(found.attached[0].subject, app.manifest.digest)
    assert.equal(found.attached[0].subjectPresent, true)
    assert.deepEqual(readdirSync(root, { recursive: true }), before)
    const text = (await run(['adopt', root])).results.join('\n')
    assert.match(text, /2 repositories, 3 tags, 3 manifests/)
    assert.match(text, /nothing was changed/)
  })

  test('--verify hashes every blob', async () => {
    const { verified } = await runJson(['adopt', '--verify', root])
    assert.deepEqual([verified.blobs, verified.resumed, verified.corrupt], [10, 0, []])
  })

  test('a verification that was cut off goes on where it stopped', async () => {
    const notes = join(home, 'notes')
    const cut = new AbortController()
    const tree = new RegistryTree(root)
    let hashed = 0
    const onBlob = () => {
      hashed += 1
      if (hashed === 4) cut.abort(new Error('cut off'))
    }
    await assert.rejects(verifyTree(tree, { notes, signal: cut.signal, onBlob }), /cut off/)
    const noted = readFileSync(notes, 'utf8').trim().split('\n').length
    assert.ok(noted >= 4 && noted < 10, `${noted} blobs were noted`)
    appendFileSync(notes, 'sha256:0123')
    let again = 0
    const second = await verifyTree(tree, {
      notes,
      onBlob: () => {
        again += 1
      },
    })
    assert.deepEqual([second.blobs, second.resumed, again], [10, noted, 10 - noted])
    assert.throws(() => readFileSync(notes), { code: 'ENOENT' })
  })

  test('a folder that is none of a registry is refused', async () => {
    assert.equal((await run(['adopt', home])).code, EXIT.notFound)
  })
})

describe('a folder with years of use', () => {
  const root = join(home, 'worn')
  const [gone, short, spoilt, sound] = [makeImage(), makeImage(), makeImage(), makeImage()]
  before(() => {
    for (const [name, image] of Object.entries({ gone, short, spoilt, sound }))
      putImage(root, name, '1', image)
    rmSync(dataOf(root, gone.layers[0]?.digest ?? digestOf('')))
    writeFileSync(dataOf(root, short.layers[0]?.digest ?? digestOf('')), 'cut')
    const bytes = Buffer.from(spoilt.layers[0]?.bytes ?? '')
    bytes[7] = (bytes[7] ?? 0) ^ 1
    writeFileSync(dataOf(root, spoilt.layers[0]?.digest ?? digestOf('')), bytes)
    write(root, tagCurrentLink(parseRepositoryName('sound'), parseTag('old')), digestOf('deleted long ago'))
    write(root, tagCurrentLink(parseRepositoryName('sound'), parseTag('empty')), '')
  })

  test('dangling links and blobs of a wrong size are found without hashing', async () => {
    const { code, results } = await run(['--json', 'adopt', root])
    assert.equal(code, EXIT.verification)
    const found = JSON.parse(results[0] ?? '')
    const dangling = found.dangling.map(({ what }: { what: string }) => what).sort()
    const missing = gone.layers[0]?.digest
    assert.deepEqual(
      dangling,
      [
        `layer ${missing} has no bytes`,
        `manifest ${gone.manifest.digest} names ${missing}, which is not there`,
        'the tag says nothing',
        `the tag stands for ${digestOf('deleted long ago')}, which is not there`,
      ].sort(),
    )
    assert.deepEqual(
      found.corrupt.map(({ what }: { what: string }) => what),
      [`${short.layers[0]?.digest} has 3 bytes instead of 300`],
    )
  })

  test('--verify finds the blob whose bytes were changed as well', async () => {
    const { code, results } = await run(['--json', 'adopt', '--verify', root])
    assert.equal(code, EXIT.verification)
    const { verified } = JSON.parse(results[0] ?? '')
    assert.deepEqual(verified.corrupt, [short.layers[0]?.digest, spoilt.layers[0]?.digest].sort())
  })

  test('export takes what is whole, names what is not, and ends with an error', async () => {
    const folder = join(home, 'exported')
    const { code, results } = await run(['--json', 'export', '--from', root, '--all', folder])
    assert.notEqual(code, EXIT.ok)
    const report = JSON.parse(results[0] ?? '')
    const failed = report.failures.map(({ repository }: { repository: string }) => repository).sort()
    assert.deepEqual([...new Set(failed)], ['gone', 'short', 'sound', 'spoilt'])
    assert.deepEqual((await runJson(['verify', `${join(folder, 'sound')}:1`])).wrong, [])
  })
})
