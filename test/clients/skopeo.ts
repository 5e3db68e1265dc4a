// skopeo: copies between registries, folders, layouts and archives; Debian's version.
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { tokenScenarios } from './accounts.ts'
import { type Client, type Stand, WITH_LOGIN } from './scenario.ts'

function copy(stand: Stand, ...args: string[]): Promise<string> {
  return stand.ok('skopeo', ['copy', '--quiet', ...args])
}

function remote(stand: Stand, tag = 'v1', repository?: string): string {
  return `docker://${stand.ref(tag, repository)}`
}

/** Without this flag skopeo may mount a layer of the same content in another compression that it has seen before. */
const AS_IT_IS = '--preserve-digests'

function push(stand: Stand, tag = 'v1'): Promise<string> {
  return copy(stand, AS_IT_IS, `oci:${stand.images.app}:app`, remote(stand, tag))
}

function pushIndex(stand: Stand, tag = 'multi'): Promise<string> {
  return copy(stand, '--all', AS_IT_IS, `oci:${stand.images.multi}:multi`, remote(stand, tag))
}

export const skopeo: Client = {
  name: 'skopeo',
  programs: ['skopeo'],
  shown: ['skopeo'],
  scenarios: [
    {
      name: 'copy-layout',
      does: 'copy from a layout keeps the digest; copy to a layout and to an archive of one',
      async run(stand) {
        await push(stand)
        assert.equal(await stand.digest(), stand.images.appDigest)
        await copy(stand, remote(stand), `oci:${stand.path('layout')}:v1`)
        const index = JSON.parse(await readFile(stand.path('layout', 'index.json'), 'utf8'))
        assert.equal(index.manifests[0].digest, stand.images.appDigest)
        await copy(stand, remote(stand), `oci-archive:${stand.path('image.tar')}:v1`)
        await copy(stand, AS_IT_IS, `oci-archive:${stand.path('image.tar')}`, remote(stand, 'archive'))
        assert.equal(await stand.digest('archive'), stand.images.appDigest)
      },
    },
    {
      name: 'copy-docker',
      does: 'copy to a docker archive and back, to a folder and back, --format v2s2',
      async run(stand) {
        await push(stand)
        await copy(stand, remote(stand), `docker-archive:${stand.path('docker.tar')}:app:v1`)
        await copy(stand, `docker-archive:${stand.path('docker.tar')}`, remote(stand, 'docker'))
        await copy(stand, remote(stand), `dir:${stand.path('folder')}`)
        await copy(stand, AS_IT_IS, `dir:${stand.path('folder')}`, remote(stand, 'folder'))
        assert.equal(await stand.digest('folder'), stand.images.appDigest)
        await copy(stand, '--format', 'v2s2', remote(stand), remote(stand, 'v2s2'))
        const converted = await stand.registry.manifest(stand.repository, 'v2s2')
        assert.equal(converted?.mediaType, 'application/vnd.docker.distribution.manifest.v2+json')
      },
    },
    {
      name: 'copy-across',
      does: 'copy between repositories of the registry, by digest and --preserve-digests',
      async run(stand) {
        await pushIndex(stand)
        const target = `${stand.repository}-target`
        const keep = ['--all', AS_IT_IS]
        await copy(stand, ...keep, remote(stand, 'multi'), remote(stand, 'multi', target))
        assert.equal(await stand.digest('multi', target), stand.images.multiDigest)
        const source = `docker://${stand.at(stand.images.multiDigest)}`
        await copy(stand, ...keep, source, `docker://${stand.at(stand.images.multiDigest, `${target}2`)}`)
        const found = await stand.registry.manifest(`${target}2`, stand.images.multiDigest)
        assert.equal(found?.digest, stand.images.multiDigest)
      },
    },
    {
      name: 'compression',
      does: 'copy --dest-compress-format zstd and back to a layout',
      async run(stand) {
        const zstd = ['--dest-compress-format', 'zstd', '--dest-compress-level', '3']
        await copy(stand, ...zstd, `dir:${await folderOf(stand)}`, remote(stand))
        await copy(stand, remote(stand), `oci:${stand.path('layout')}:v1`)
        const manifest = await stand.registry.manifest(stand.repository, 'v1')
        assert.equal(manifest?.body.layers?.length, 3)
      },
    },
    {
      name: 'restart',
      does: 'an image is there after a restart of the server',
      async run(stand) {
        await push(stand)
        await stand.restartServer()
        await copy(stand, remote(stand), `dir:${stand.path('folder')}`)
        assert.equal(await stand.digest(), stand.images.appDigest)
      },
    },
    {
      name: 'login',
      does: 'login and logout; a wrong password and no login are refused',
      servers: WITH_LOGIN,
      async run(stand) {
        const { username, password } = stand.login
        const env = await stand.stranger('fresh')
        const login = ['login', '--username', username, '--password-stdin', stand.host]
        const inspect = ['list-tags', `docker://${stand.host}/${stand.repository}`]
        await push(stand)
        assert.match(await stand.refused('skopeo', inspect, { env }), /authentication required|unauthorized/)
        assert.match(
          await stand.refused('skopeo', login, { env, input: 'wrong' }),
          /invalid username\/password|unauthorized/,
        )
        await stand.ok('skopeo', login, { env, input: password })
        await stand.ok('skopeo', inspect, { env })
        await stand.ok('skopeo', ['logout', stand.host], { env })
        await stand.refused('skopeo', inspect, { env })
        await stand.ok('skopeo', ['list-tags', '--creds', `${username}:${password}`, inspect[1] ?? ''], {
          env,
        })
      },
    },
    {
      name: 'inspect-list',
      does: 'inspect, inspect --raw and --config, list-tags',
      async run(stand) {
        await push(stand, 'v2')
        await push(stand, 'v1')
        const told = JSON.parse(await stand.ok('skopeo', ['inspect', remote(stand)]))
        assert.equal(told.Digest, stand.images.appDigest)
        assert.deepEqual(told.RepoTags, ['v1', 'v2'])
        await stand.ok('skopeo', ['inspect', '--raw', `docker://${stand.at(stand.images.appDigest)}`])
        const config = JSON.parse(await stand.ok('skopeo', ['inspect', '--config', remote(stand)]))
        assert.equal(config.architecture, 'amd64')
        const list = ['list-tags', `docker://${stand.host}/${stand.repository}`]
        assert.deepEqual(JSON.parse(await stand.ok('skopeo', list)).Tags, ['v1', 'v2'])
      },
    },
    {
      name: 'delete',
      does: 'delete of a tag takes the image away',
      async run(stand) {
        await push(stand)
        await stand.ok('skopeo', ['delete', remote(stand)])
        assert.equal(await stand.registry.manifest(stand.repository, stand.images.appDigest), undefined)
        assert.match(await stand.refused('skopeo', ['inspect', remote(stand)]), /manifest unknown/)
      },
    },
    {
      name: 'sync',
      does: 'sync a repository to a folder and from the folder to another place',
      async run(stand) {
        await push(stand, 'v1')
        await pushIndex(stand, 'v2')
        const source = `${stand.host}/${stand.repository}`
        const sync = ['sync', '--all', AS_IT_IS, '--src']
        await stand.ok('skopeo', [...sync, 'docker', '--dest', 'dir', source, stand.path('mirror')])
        const names = await readdir(stand.path('mirror'))
        assert.deepEqual(names.toSorted(), ['sync:v1', 'sync:v2'])
        const target = `${source}-mirror`
        await stand.ok('skopeo', [...sync, 'dir', '--dest', 'docker', stand.path('mirror'), target])
        const mirrored = `${stand.repository}-mirror/sync`
        assert.equal(await stand.digest('v1', mirrored), stand.images.appDigest)
        assert.equal(await stand.digest('v2', mirrored), stand.images.multiDigest)
      },
    },
    {
      name: 'multi-arch',
      does: 'copy --all of an index; one platform of it with --override-arch',
      async run(stand) {
        await pushIndex(stand)
        assert.equal(await stand.digest('multi'), stand.images.multiDigest)
        const told = await stand.ok('skopeo', ['inspect', '--override-arch', 'arm64', remote(stand, 'multi')])
        assert.equal(JSON.parse(told).Architecture, 'arm64')
        await stand.ok('skopeo', [
          '--override-arch',
          'arm64',
          'copy',
          '--quiet',
          remote(stand, 'multi'),
          remote(stand, 'arm64'),
        ])
      },
    },
    ...tokenScenarios({
      program: 'skopeo',
      login: (stand, username) => ['login', '--username', username, '--password-stdin', stand.host],
      push: (stand, repository) => ['copy', `oci:${stand.images.app}:app`, remote(stand, 'v1', repository)],
      pull: (stand, repository) => ['copy', remote(stand, 'v1', repository), `dir:${stand.path('got')}`],
    }),
  ],
}

/** The image with plain layers in skopeo's own folder form: what a builder hands over before compression. */
async function folderOf(stand: Stand): Promise<string> {
  const folder = stand.path('plain-layers')
  await copy(stand, '--dest-decompress', `oci:${stand.images.app}:app`, `dir:${folder}`)
  return folder
}
