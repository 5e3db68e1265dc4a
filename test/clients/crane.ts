// crane: Google's go-containerregistry on the command line.
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { tokenScenarios } from './accounts.ts'
import { madeUpBytes } from './images.ts'
import { type Client, type Stand, WITH_LOGIN } from './scenario.ts'

const LARGE_LAYER_BYTES = 96 * 1024 * 1024

async function push(stand: Stand, tag = 'v1'): Promise<void> {
  await stand.ok('crane', ['push', stand.images.app, stand.ref(tag)])
}

/** crane pushes the index.json of a layout itself, so that must be the index over the platforms. */
async function pushIndex(stand: Stand, tag = 'multi'): Promise<void> {
  const { multi, multiDigest } = stand.images
  const layout = stand.path('layout')
  await stand.ok('cp', ['-r', multi, layout])
  await stand.ok('cp', [`${multi}/blobs/${multiDigest.replace(':', '/')}`, `${layout}/index.json`])
  await stand.ok('crane', ['push', '--index', layout, stand.ref(tag)])
}

async function lines(stand: Stand, args: readonly string[]): Promise<string[]> {
  return (await stand.ok('crane', args)).trim().split('\n')
}

export const crane: Client = {
  name: 'crane',
  programs: ['crane'],
  shown: ['crane'],
  scenarios: [
    {
      name: 'push-pull',
      does: 'push keeps the digest; pull as tarball, legacy tarball and layout; validate --remote',
      async run(stand) {
        await push(stand)
        assert.equal(await stand.digest(), stand.images.appDigest)
        for (const format of ['tarball', 'legacy', 'oci']) {
          await stand.ok('crane', ['pull', '--format', format, stand.ref(), stand.path(format)])
        }
        await stand.ok('crane', ['validate', '--tarball', stand.path('tarball')])
        const index = JSON.parse(await readFile(stand.path('oci', 'index.json'), 'utf8'))
        assert.equal(index.manifests[0].digest, stand.images.appDigest)
        await stand.ok('crane', ['validate', '--remote', stand.ref()])
      },
    },
    {
      name: 'restart',
      does: 'an image is there after a restart of the server, and a second push sends nothing anew',
      async run(stand) {
        await push(stand)
        await stand.restartServer()
        await stand.ok('crane', ['validate', '--remote', stand.ref()])
        const said = await stand.told('crane', ['push', stand.images.app, stand.ref('again')])
        assert.match(said, /existing blob/)
        assert.doesNotMatch(said, /pushed blob/)
      },
    },
    {
      name: 'login',
      does: 'auth login; a wrong password and no login are refused',
      servers: WITH_LOGIN,
      async run(stand) {
        const { username, password } = stand.login
        const env = await stand.stranger('fresh')
        assert.match(
          await stand.refused('crane', ['push', stand.images.app, stand.ref()], { env }),
          /UNAUTHORIZED|401/,
        )
        const login = ['auth', 'login', stand.host, '-u', username]
        await stand.ok('crane', [...login, '-p', 'wrong'], { env })
        assert.match(
          await stand.refused('crane', ['push', stand.images.app, stand.ref()], { env }),
          /UNAUTHORIZED|401/,
        )
        await stand.ok('crane', [...login, '--password-stdin'], { env, input: password })
        await stand.ok('crane', ['push', stand.images.app, stand.ref()], { env })
        await stand.ok('crane', ['auth', 'logout', stand.host], { env })
        assert.match(
          await stand.refused('crane', ['ls', stand.ref().slice(0, -3)], { env }),
          /UNAUTHORIZED|401/,
        )
      },
    },
    {
      name: 'by-digest',
      does: 'digest, manifest, config, blob and pull by digest',
      async run(stand) {
        await push(stand)
        const { appDigest } = stand.images
        assert.deepEqual(await lines(stand, ['digest', stand.ref()]), [appDigest])
        const manifest = JSON.parse(await stand.ok('crane', ['manifest', stand.at(appDigest)]))
        await stand.ok('crane', ['config', stand.at(appDigest)])
        await stand.ok('crane', ['blob', stand.at(manifest.config.digest)])
        await stand.ok('crane', ['pull', stand.at(appDigest), stand.path('image.tar')])
        assert.match(await stand.ok('tar', ['-tf', stand.path('image.tar')]), /manifest\.json/)
        await stand.refused('crane', ['pull', stand.at(`sha256:${'0'.repeat(64)}`), stand.path('none.tar')])
      },
    },
    {
      name: 'list',
      does: 'ls in order, catalog with the repository, tag',
      async run(stand) {
        await push(stand, 'v2')
        await stand.ok('crane', ['tag', stand.ref('v2'), 'v10'])
        await stand.ok('crane', ['tag', stand.ref('v2'), 'a'])
        const repository = `${stand.host}/${stand.repository}`
        assert.deepEqual(await lines(stand, ['ls', repository]), ['a', 'v10', 'v2'])
        assert.ok((await lines(stand, ['catalog', stand.host])).includes(stand.repository))
      },
    },
    {
      name: 'delete',
      does: 'delete by digest takes the image away, delete of a tag leaves the other tag',
      async run(stand) {
        await push(stand)
        await stand.ok('crane', ['tag', stand.ref(), 'kept'])
        await stand.ok('crane', ['delete', stand.ref()])
        assert.deepEqual(await stand.registry.tags(stand.repository), ['kept'])
        await stand.ok('crane', ['delete', stand.at(stand.images.appDigest)])
        assert.match(await stand.refused('crane', ['manifest', stand.ref('kept')]), /MANIFEST_UNKNOWN|404/)
        await push(stand)
        await stand.ok('crane', ['validate', '--remote', stand.ref()])
      },
    },
    {
      name: 'multi-arch',
      does: 'push --index, pull of one platform, index append and filter',
      async run(stand) {
        await pushIndex(stand)
        assert.equal(await stand.digest('multi'), stand.images.multiDigest)
        await stand.ok('crane', ['validate', '--remote', stand.ref('multi')])
        const arm = JSON.parse(
          await stand.ok('crane', ['config', '--platform', 'linux/arm64', stand.ref('multi')]),
        )
        assert.equal(arm.architecture, 'arm64')
        await push(stand)
        await stand.ok('crane', ['index', 'append', '-m', stand.ref(), '-t', stand.ref('appended')])
        const filter = ['index', 'filter', stand.ref('multi'), '--platform', 'linux/arm64', '-t']
        await stand.ok('crane', [...filter, stand.ref('filtered')])
        const filtered = await stand.registry.manifest(stand.repository, 'filtered')
        assert.equal(filtered?.body.manifests?.length, 1)
      },
    },
    {
      name: 'copy',
      does: 'copy to another repository keeps digests and mounts; copy --all-tags; copy of one platform',
      async run(stand) {
        await pushIndex(stand)
        const target = `${stand.repository}-target`
        const said = await stand.told('crane', ['copy', stand.ref('multi'), stand.ref('multi', target)])
        assert.match(said, /mounted blob/)
        assert.equal(await stand.digest('multi', target), stand.images.multiDigest)
        const all = `${stand.repository}-all`
        await push(stand)
        await stand.ok('crane', [
          'copy',
          '--all-tags',
          `${stand.host}/${stand.repository}`,
          `${stand.host}/${all}`,
        ])
        assert.deepEqual(await stand.registry.tags(all), ['multi', 'v1'])
        await stand.ok('crane', [
          'copy',
          '--platform',
          'linux/amd64',
          stand.ref('multi'),
          stand.ref('amd64', all),
        ])
        assert.equal(await stand.digest('amd64', all), stand.images.appDigest)
      },
    },
    {
      name: 'append-mutate',
      does: 'append a layer; mutate label, environment and entry point; export has the new file',
      async run(stand) {
        await push(stand)
        await stand.ok('crane', [
          'append',
          '-b',
          stand.ref(),
          '-f',
          stand.images.extraTar,
          '-t',
          stand.ref('more'),
        ])
        await stand.ok('crane', ['export', stand.ref('more'), stand.path('files.tar')])
        assert.match(await stand.ok('tar', ['-tf', stand.path('files.tar')]), /extra\.txt/)
        const change = ['-l', 'team=harbour', '-e', 'SHIP=stowage', '--entrypoint', '/bin/cat']
        await stand.ok('crane', ['mutate', stand.ref('more'), ...change, '-t', stand.ref('changed')])
        const config = JSON.parse(await stand.ok('crane', ['config', stand.ref('changed')]))
        assert.equal(config.config.Labels.team, 'harbour')
        await stand.ok('crane', ['validate', '--remote', stand.ref('changed')])
      },
    },
    {
      name: 'flatten-rebase',
      does: 'flatten to one layer; rebase onto a new base',
      async run(stand) {
        await push(stand, 'base')
        const { extraTar } = stand.images
        await stand.ok('crane', ['append', '-b', stand.ref('base'), '-f', extraTar, '-t', stand.ref('app')])
        await stand.ok('crane', ['mutate', stand.ref('base'), '-l', 'base=new', '-t', stand.ref('base2')])
        const bases = ['--old_base', stand.ref('base'), '--new_base', stand.ref('base2')]
        await stand.ok('crane', ['rebase', stand.ref('app'), ...bases, '-t', stand.ref('rebased')])
        await stand.ok('crane', ['flatten', stand.ref('rebased'), '-t', stand.ref('flat')])
        const flat = await stand.registry.manifest(stand.repository, 'flat')
        assert.equal(flat?.body.layers?.length, 1)
        await stand.ok('crane', ['validate', '--remote', stand.ref('flat')])
      },
    },
    {
      name: 'large-layer',
      does: 'a layer of 96 MiB in one streamed PATCH, there and back',
      long: true,
      async run(stand) {
        await stand.ok('mkdir', ['big'])
        await writeFile(stand.path('big', 'file'), madeUpBytes(stand.host, LARGE_LAYER_BYTES))
        await stand.ok('tar', ['-cf', 'big.tar', 'big'])
        await stand.ok('crane', ['append', '-f', 'big.tar', '-t', stand.ref()])
        await stand.ok('crane', ['validate', '--remote', stand.ref()])
      },
    },
    ...tokenScenarios({
      program: 'crane',
      login: (stand, username) => ['auth', 'login', stand.host, '-u', username, '--password-stdin'],
      push: (stand, repository) => ['push', stand.images.app, stand.ref('v1', repository)],
      pull: (stand, repository) => ['pull', stand.ref('v1', repository), stand.path('got.tar')],
    }),
  ],
}
