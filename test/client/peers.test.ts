// What we write is read by the tools of others, and what they write by us.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { ArchivePlace } from '#client/archive-place.ts'
import { ArchiveWriter } from '#client/archive-writer.ts'
import { copy } from '#client/copy.ts'
import { readLinks } from '#client/graph.ts'
import { LayoutPlace } from '#client/layout-place.ts'
import { MemoryPlace } from '#client/memory-place.ts'
import type { ManifestContent } from '#client/place.ts'
import { parseTag } from '#oci/reference.ts'
import { findProgram } from '../tools/find-program.ts'
import { LATEST, putImage } from './made-images.ts'

const run = promisify(execFile)
const skopeo = findProgram('skopeo')
const V1 = parseTag('v1')

describe('with skopeo', { skip: skopeo ? false : 'skopeo is not installed: apt-get install skopeo' }, () => {
  let folder = ''
  let image: ManifestContent
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'peers-'))
    const memory = new MemoryPlace()
    image = await putImage(memory, [5000, 300_000], LATEST)
    const options = { reference: { tag: LATEST }, tags: [V1] }
    await copy(memory, new LayoutPlace(join(folder, 'layout')), options)
    const archives = {
      oci: new ArchiveWriter(join(folder, 'oci.tar')),
      docker: new ArchiveWriter(join(folder, 'docker.tar'), { dockerName: 'example.org/app' }),
    }
    for (const writer of Object.values(archives)) {
      await copy(memory, writer, options)
      await writer.finish()
    }
  })
  after(() => rm(folder, { recursive: true, force: true }))

  const copyWith = (from: string, to: string) =>
    run(skopeo ?? '', ['--insecure-policy', 'copy', '--quiet', '--preserve-digests', from, to])

  for (const from of ['oci:layout:v1', 'oci-archive:oci.tar:v1']) {
    test(`it reads our ${from}, and we read what it makes of it`, async () => {
      const [kind = '', path = ''] = from.split(':')
      const target = join(folder, `from-${kind}`)
      await copyWith(`${kind}:${join(folder, path)}:v1`, `oci:${target}:v2`)
      const found = await new LayoutPlace(target).resolve({ tag: parseTag('v2') })
      assert.equal(found?.digest, image.descriptor.digest)
      await copy(new LayoutPlace(target), new MemoryPlace(), { reference: { tag: parseTag('v2') } })
    })
  }

  test('it reads our archive for docker load, and we read the one that it writes', async () => {
    const target = join(folder, 'theirs.tar')
    const inDocker = `docker-archive:${join(folder, 'docker.tar')}:example.org/app:v1`
    await run(skopeo ?? '', [
      '--insecure-policy',
      'copy',
      '--quiet',
      inDocker,
      `docker-archive:${target}:example.org/app:v9`,
    ])
    const archive = await ArchivePlace.open(target)
    const memory = new MemoryPlace()
    const { root } = await copy(archive, memory, { reference: { tag: parseTag('v9') } })
    const theirs = await memory.manifest({ digest: root.digest })
    assert.ok(theirs)
    assert.deepEqual(
      readLinks(theirs).layers.map(({ digest }) => digest),
      readLinks(image).layers.map(({ digest }) => digest),
    )
  })
})
