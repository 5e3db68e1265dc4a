// umoci: works on OCI layouts; skopeo carries them to the registry and back.
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { GREETING } from './images.ts'
import type { Client, Stand } from './scenario.ts'

async function carry(stand: Stand, from: string, to: string): Promise<void> {
  await stand.ok('skopeo', ['copy', '--quiet', from, to])
}

export const umoci: Client = {
  name: 'umoci',
  programs: ['umoci', 'skopeo'],
  shown: ['umoci', 'skopeo'],
  needsRoot: true,
  scenarios: [
    {
      name: 'unpack',
      does: 'an image that comes back from the registry unpacks to the files that went in',
      async run(stand) {
        const remote = `docker://${stand.ref()}`
        await carry(stand, `oci:${stand.images.app}:app`, remote)
        await carry(stand, remote, `oci:${stand.path('layout')}:v1`)
        await stand.ok('umoci', ['unpack', '--image', 'layout:v1', 'bundle'])
        await stand.ok('diff', ['-r', '--no-dereference', stand.images.rootfs, 'bundle/rootfs'])
      },
    },
    {
      name: 'repack',
      does: 'a pulled image, changed and repacked, is pushed as one more layer',
      async run(stand) {
        const remote = `docker://${stand.ref()}`
        await carry(stand, `oci:${stand.images.app}:app`, remote)
        await carry(stand, remote, `oci:${stand.path('layout')}:v1`)
        await stand.ok('umoci', ['unpack', '--image', 'layout:v1', 'bundle'])
        await writeFile(stand.path('bundle', 'rootfs', 'new.txt'), 'new\n')
        await stand.ok('umoci', ['repack', '--image', 'layout:v2', 'bundle'])
        await stand.ok('umoci', ['config', '--image', 'layout:v2', '--config.label', 'made.by=umoci'])
        await carry(stand, `oci:${stand.path('layout')}:v2`, `docker://${stand.ref('v2')}`)
        assert.equal((await stand.registry.manifest(stand.repository, 'v2'))?.body.layers?.length, 4)
        await carry(stand, `docker://${stand.ref('v2')}`, `oci:${stand.path('back')}:v2`)
        await stand.ok('umoci', ['unpack', '--image', 'back:v2', 'bundle2'])
        const hello = await readFile(stand.path('bundle2', 'rootfs', 'hello.txt'), 'utf8')
        assert.equal(hello, `${GREETING}\n`)
        assert.equal(await readFile(stand.path('bundle2', 'rootfs', 'new.txt'), 'utf8'), 'new\n')
      },
    },
    {
      name: 'from-nothing',
      does: 'an image made by umoci new and insert is pushed and comes back',
      async run(stand) {
        await stand.ok('umoci', ['init', '--layout', 'layout'])
        await stand.ok('umoci', ['new', '--image', 'layout:v1'])
        await stand.ok('umoci', ['insert', '--image', 'layout:v1', stand.images.rootfs, '/'])
        await carry(stand, `oci:${stand.path('layout')}:v1`, `docker://${stand.ref()}`)
        await stand.restartServer()
        await carry(stand, `docker://${stand.ref()}`, `oci:${stand.path('back')}:v1`)
        await stand.ok('umoci', ['stat', '--image', 'back:v1'])
        await stand.ok('umoci', ['unpack', '--image', 'back:v1', 'bundle'])
        await stand.ok('diff', ['-r', '--no-dereference', stand.images.rootfs, 'bundle/rootfs'])
      },
    },
  ],
}
