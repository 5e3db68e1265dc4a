// regctl: regclient on the command line.
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { tokenScenarios } from './accounts.ts'
import { madeUpBytes } from './images.ts'
import { type Client, type Stand, WITH_LOGIN } from './scenario.ts'

const SBOM_TYPE = 'application/spdx+json'
const BLOB_BYTES = 3 * 1024 * 1024

function regctl(stand: Stand, ...args: string[]): Promise<string> {
  return stand.ok('regctl', args)
}

function push(stand: Stand, tag = 'v1'): Promise<string> {
  return regctl(stand, 'image', 'copy', `ocidir://${stand.images.app}:app`, stand.ref(tag))
}

function pushIndex(stand: Stand, tag = 'multi'): Promise<string> {
  return regctl(stand, 'image', 'copy', `ocidir://${stand.images.multi}:multi`, stand.ref(tag))
}

function repository(stand: Stand): string {
  return `${stand.host}/${stand.repository}`
}

export const regctlClient: Client = {
  name: 'regctl',
  programs: ['regctl'],
  shown: ['regctl'],
  scenarios: [
    {
      name: 'copy',
      does: 'image copy from a layout, to another repository, back to a layout; digests stay',
      async run(stand) {
        await pushIndex(stand)
        const target = `${stand.repository}-target`
        await regctl(stand, 'image', 'copy', stand.ref('multi'), stand.ref('multi', target))
        assert.equal(await stand.digest('multi', target), stand.images.multiDigest)
        const layout = `ocidir://${stand.path('layout')}:multi`
        await regctl(stand, 'image', 'copy', stand.ref('multi', target), layout)
        assert.equal((await regctl(stand, 'image', 'digest', layout)).trim(), stand.images.multiDigest)
        await regctl(stand, 'repo', 'copy', repository(stand), `${repository(stand)}-all`)
        assert.deepEqual(await stand.registry.tags(`${stand.repository}-all`), ['multi'])
      },
    },
    {
      name: 'restart',
      does: 'an image is there after a restart of the server',
      async run(stand) {
        await push(stand)
        await stand.restartServer()
        await regctl(stand, 'image', 'copy', stand.ref(), `ocidir://${stand.path('layout')}:v1`)
      },
    },
    {
      name: 'login',
      does: 'registry login and logout; a wrong password and no login are refused',
      servers: WITH_LOGIN,
      async run(stand) {
        const { username, password } = stand.login
        const env = await stand.stranger('fresh')
        const list = ['tag', 'ls', repository(stand)]
        const login = ['registry', 'login', stand.host, '-u', username, '--pass-stdin']
        await push(stand)
        assert.match(await stand.refused('regctl', list, { env }), /unauthorized/)
        assert.match(await stand.refused('regctl', login, { env, input: 'wrong' }), /unauthorized/)
        await stand.ok('regctl', login, { env, input: password })
        await stand.ok('regctl', list, { env })
        await stand.ok('regctl', ['registry', 'logout', stand.host], { env })
        await stand.refused('regctl', list, { env })
      },
    },
    {
      name: 'by-digest',
      does: 'image digest, manifest head, get and put, image inspect, by digest too',
      async run(stand) {
        await push(stand)
        const { appDigest } = stand.images
        assert.equal((await regctl(stand, 'image', 'digest', stand.ref())).trim(), appDigest)
        assert.equal((await regctl(stand, 'manifest', 'head', stand.at(appDigest))).trim(), appDigest)
        await regctl(stand, 'image', 'inspect', stand.at(appDigest))
        const raw = await regctl(stand, 'manifest', 'get', '--format', 'raw-body', stand.at(appDigest))
        const type = 'application/vnd.oci.image.manifest.v1+json'
        const put = ['manifest', 'put', '--content-type', type, stand.ref('put')]
        await stand.ok('regctl', put, { input: raw })
        assert.equal(await stand.digest('put'), appDigest)
      },
    },
    {
      name: 'list',
      does: 'tag ls with --limit and --last, repo ls',
      async run(stand) {
        for (const tag of ['a', 'b', 'c']) await push(stand, tag)
        const list = ['tag', 'ls', repository(stand)]
        assert.equal(await regctl(stand, ...list), 'a\nb\nc\n')
        assert.equal(await regctl(stand, ...list, '--limit', '1', '--last', 'a'), 'b\n')
        assert.match(await regctl(stand, 'repo', 'ls', stand.host), new RegExp(`^${stand.repository}$`, 'm'))
      },
    },
    {
      name: 'delete',
      does: 'tag delete leaves the other tag, manifest delete takes the image away',
      async run(stand) {
        await push(stand, 'v1')
        await push(stand, 'v2')
        await regctl(stand, 'tag', 'delete', stand.ref('v1'))
        assert.deepEqual(await stand.registry.tags(stand.repository), ['v2'])
        await regctl(stand, 'manifest', 'delete', stand.at(stand.images.appDigest))
        assert.equal(await stand.registry.manifest(stand.repository, 'v2'), undefined)
      },
    },
    {
      name: 'image-mod',
      does: 'image mod: labels, a layer more, zstd layers, Docker types, and back in time',
      async run(stand) {
        await pushIndex(stand)
        const mod = (...args: string[]) => regctl(stand, 'image', 'mod', stand.ref('multi'), ...args)
        await mod('--create', 'labels', '--label', 'team=harbour', '--annotation', '[*]a=b')
        await mod('--create', 'layer', '--layer-add', `tar=${stand.images.extraTar}`)
        await mod('--create', 'zstd', '--layer-compress', 'zstd')
        await mod('--create', 'docker', '--to-docker')
        await mod('--create', 'old', '--time', 'set=2020-01-01T00:00:00Z')
        for (const tag of ['labels', 'layer', 'zstd', 'docker', 'old']) {
          await regctl(stand, 'image', 'copy', stand.ref(tag), `ocidir://${stand.path('layout')}:${tag}`)
        }
        const list = await stand.registry.manifest(stand.repository, 'docker')
        assert.equal(list?.mediaType, 'application/vnd.docker.distribution.manifest.list.v2+json')
      },
    },
    {
      name: 'artifact',
      does: 'artifact put with a subject, list, get, tree; image copy --referrers carries it',
      async run(stand) {
        await push(stand)
        const put = ['artifact', 'put', '--artifact-type', SBOM_TYPE, '--subject', stand.ref()]
        await stand.ok('regctl', put, { input: '{"spdx":1}' })
        await stand.ok('regctl', ['artifact', 'put', '--artifact-type', 'text/plain', stand.ref('note')], {
          input: 'a note',
        })
        assert.equal(await regctl(stand, 'artifact', 'get', stand.ref('note')), 'a note')
        assert.match(await regctl(stand, 'artifact', 'list', stand.ref()), /spdx/)
        const get = ['artifact', 'get', '--subject', stand.ref(), '--filter-artifact-type', SBOM_TYPE]
        assert.equal(await regctl(stand, ...get), '{"spdx":1}')
        assert.match(await regctl(stand, 'artifact', 'tree', stand.ref()), /spdx/)
        const target = `${stand.repository}-target`
        await regctl(stand, 'image', 'copy', '--referrers', stand.ref(), stand.ref('v1', target))
        assert.equal((await stand.registry.referrers(target, stand.images.appDigest)).length, 1)
      },
    },
    {
      name: 'blob',
      does: 'blob put, head, get, copy to another repository, delete',
      async run(stand) {
        await writeFile(stand.path('blob'), madeUpBytes(stand.repository, BLOB_BYTES))
        const put = `regctl blob put ${repository(stand)} < blob`
        const digest = (await stand.ok('sh', ['-c', put])).trim()
        await regctl(stand, 'blob', 'head', repository(stand), digest)
        await stand.ok('sh', ['-c', `regctl blob get ${repository(stand)} ${digest} | cmp - blob`])
        const target = `${repository(stand)}-target`
        await regctl(stand, 'blob', 'copy', repository(stand), target, digest)
        await regctl(stand, 'blob', 'head', target, digest)
        await regctl(stand, 'blob', 'delete', repository(stand), digest)
        await stand.refused('regctl', ['blob', 'head', repository(stand), digest])
      },
    },
    {
      name: 'index',
      does: 'index create and add; image export and import',
      async run(stand) {
        await pushIndex(stand)
        const create = ['index', 'create', stand.ref('made'), '--ref', stand.ref('multi')]
        await regctl(stand, ...create, '--platform', 'linux/arm64')
        const made = await stand.registry.manifest(stand.repository, 'made')
        assert.equal(made?.body.manifests?.length, 1)
        await regctl(stand, 'image', 'export', stand.ref('multi'), stand.path('image.tar'))
        const target = stand.ref('imported', `${stand.repository}-target`)
        await regctl(stand, 'image', 'import', target, stand.path('image.tar'))
        assert.equal(await stand.digest('imported', `${stand.repository}-target`), stand.images.multiDigest)
      },
    },
    ...tokenScenarios({
      program: 'regctl',
      login: (stand, username) => ['registry', 'login', stand.host, '-u', username, '--pass-stdin'],
      push: (stand, repository) => [
        'image',
        'copy',
        `ocidir://${stand.images.app}:app`,
        stand.ref('v1', repository),
      ],
      pull: (stand, repository) => [
        'image',
        'copy',
        stand.ref('v1', repository),
        `ocidir://${stand.path('got')}:v1`,
      ],
    }),
  ],
}
