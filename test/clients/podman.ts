// podman: Debian's version, with storage of its own.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { tokenScenarios } from './accounts.ts'
import { GREETING } from './images.ts'
import { type Client, type Stand, WITH_LOGIN } from './scenario.ts'

const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'

/** Loads the image into podman's storage under the name it will be pushed by. @returns its id */
async function load(stand: Stand, tag = 'v1'): Promise<string> {
  const loaded = (await stand.ok('podman', ['pull', '-q', `oci:${stand.images.app}:app`])).trim()
  await stand.ok('podman', ['tag', loaded, stand.ref(tag)])
  return loaded
}

async function forget(stand: Stand, id: string): Promise<void> {
  await stand.ok('podman', ['rmi', '-f', id])
}

async function layerTypes(stand: Stand): Promise<string[]> {
  const manifest = await stand.registry.manifest(stand.repository, 'v1')
  return (manifest?.body.layers ?? []).map((layer) => layer.mediaType)
}

/**
 * An image whose layer nobody has pushed before: podman remembers where it saw a layer, and would rather mount
 * that one than compress anew.
 */
async function loadFresh(stand: Stand): Promise<string> {
  const files = stand.path('fresh')
  await stand.ok('cp', ['-a', stand.images.rootfs, files])
  await writeFile(stand.path('fresh', 'marker'), randomUUID())
  await stand.ok('tar', ['-cf', 'fresh.tar', '-C', files, '.'])
  const command = 'CMD ["/bin/cat", "/hello.txt"]'
  return (await stand.ok('podman', ['import', '-q', '--change', command, 'fresh.tar', stand.ref()])).trim()
}

/** Podman raises these two limits unless they are given, which a confined root may not. */
const LIMITS = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024']

function run(stand: Stand): Promise<string> {
  return stand.ok('podman', ['run', '-q', '--rm', ...LIMITS, stand.ref()])
}

/** Pushes with another compression, then pulls what the registry has and runs it. */
async function pushCompressed(stand: Stand, format: string): Promise<void> {
  const id = await loadFresh(stand)
  await stand.ok('podman', ['push', '-q', '--compression-format', format, stand.ref()])
  const types = await layerTypes(stand)
  assert.deepEqual(types, ['application/vnd.oci.image.layer.v1.tar+zstd'])
  await forget(stand, id)
  await stand.ok('podman', ['pull', '-q', stand.ref()])
  assert.equal(await run(stand), `${GREETING}\n`)
  await stand.ok('podman', ['rmi', '-f', stand.ref()])
}

export const podman: Client = {
  name: 'podman',
  programs: ['podman', 'runc'],
  shown: ['podman'],
  needsRoot: true,
  scenarios: [
    {
      name: 'push-pull',
      does: 'push, pull after all is gone here: the same image id',
      async run(stand) {
        const id = await load(stand)
        await stand.ok('podman', ['push', '-q', stand.ref()])
        await forget(stand, id)
        assert.equal((await stand.ok('podman', ['pull', '-q', stand.ref()])).trim(), id)
        await forget(stand, id)
      },
    },
    {
      name: 'run',
      does: 'run of an image that is pulled for it',
      async run(stand) {
        const id = await load(stand)
        await stand.ok('podman', ['push', '-q', stand.ref()])
        await forget(stand, id)
        assert.equal(await run(stand), `${GREETING}\n`)
        await forget(stand, id)
      },
    },
    {
      name: 'restart',
      does: 'pull after a restart of the server',
      async run(stand) {
        const id = await load(stand)
        await stand.ok('podman', ['push', '-q', stand.ref()])
        await stand.restartServer()
        await forget(stand, id)
        assert.equal((await stand.ok('podman', ['pull', '-q', stand.ref()])).trim(), id)
        await forget(stand, id)
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
        const id = await load(stand)
        assert.match(
          await stand.refused('podman', ['push', '-q', stand.ref()], { env }),
          /authentication required|unauthorized|denied/,
        )
        assert.match(
          await stand.refused('podman', login, { env, input: 'wrong' }),
          /invalid username\/password|unauthorized/,
        )
        assert.match(await stand.ok('podman', login, { env, input: password }), /Login Succeeded/)
        await stand.ok('podman', ['push', '-q', stand.ref()], { env })
        await stand.ok('podman', ['logout', stand.host], { env })
        await stand.refused('podman', ['pull', '-q', stand.ref()], { env })
        await forget(stand, id)
      },
    },
    {
      name: 'by-digest',
      does: 'push --digestfile names the registry’s digest; pull by it',
      async run(stand) {
        const id = await load(stand)
        const file = stand.path('digest')
        await stand.ok('podman', ['push', '-q', '--digestfile', file, stand.ref()])
        const digest = await stand.digest()
        assert.equal(await stand.ok('cat', [file]), digest)
        await forget(stand, id)
        assert.equal((await stand.ok('podman', ['pull', '-q', stand.at(digest)])).trim(), id)
        await forget(stand, id)
      },
    },
    {
      name: 'zstd',
      does: 'push with zstd layers, pull and run them',
      run: (stand) => pushCompressed(stand, 'zstd'),
    },
    {
      name: 'zstd-chunked',
      does: 'push with zstd:chunked layers, pull and run them',
      run: (stand) => pushCompressed(stand, 'zstd:chunked'),
    },
    {
      name: 'v2s2',
      does: 'push --format v2s2 leaves a Docker manifest, which is pulled and run',
      async run(stand) {
        const id = await load(stand)
        await stand.ok('podman', ['push', '-q', '--format', 'v2s2', stand.ref()])
        assert.equal((await stand.registry.manifest(stand.repository, 'v1'))?.mediaType, DOCKER_MANIFEST)
        await forget(stand, id)
        await stand.ok('podman', ['pull', '-q', stand.ref()])
        assert.equal(await run(stand), `${GREETING}\n`)
        await stand.ok('podman', ['rmi', '-f', stand.ref()])
      },
    },
    {
      name: 'multi-arch',
      does: 'manifest create, add and push --all; pull of a platform',
      async run(stand) {
        const list = stand.ref('multi')
        await stand.ok('podman', ['manifest', 'create', list])
        await stand.ok('podman', ['manifest', 'add', '--all', list, `oci:${stand.images.multi}:multi`])
        await stand.ok('podman', ['manifest', 'push', '--all', list, `docker://${list}`])
        await stand.ok('podman', ['manifest', 'rm', list])
        const stored = await stand.registry.manifest(stand.repository, 'multi')
        assert.deepEqual(stored?.body.manifests?.map((one) => one.platform?.architecture).toSorted(), [
          'amd64',
          'arm64',
        ])
        const id = (await stand.ok('podman', ['pull', '-q', '--arch', 'arm64', list])).trim()
        const arch = ['image', 'inspect', '--format', '{{.Architecture}}', id]
        assert.equal((await stand.ok('podman', arch)).trim(), 'arm64')
        await forget(stand, id)
      },
    },
    {
      name: 'list',
      does: 'search finds the repository and lists its tags',
      async run(stand) {
        const id = await load(stand, 'v2')
        await stand.ok('podman', ['tag', id, stand.ref('v1')])
        for (const tag of ['v2', 'v1']) await stand.ok('podman', ['push', '-q', stand.ref(tag)])
        const repository = `${stand.host}/${stand.repository}`
        const tags = ['search', '--list-tags', '--format', 'json', repository]
        assert.deepEqual(JSON.parse(await stand.ok('podman', tags))[0].Tags, ['v1', 'v2'])
        const found = await stand.ok('podman', ['search', '--format', '{{.Name}}', `${stand.host}/podman/li`])
        assert.ok(found.split('\n').includes(repository), found)
        await forget(stand, id)
      },
    },
    ...tokenScenarios({
      program: 'podman',
      async prepare(stand, repository) {
        await stand.ok('podman', ['tag', await load(stand), stand.ref('v1', repository)])
      },
      login: (stand, username) => ['login', '--username', username, '--password-stdin', stand.host],
      push: (stand, repository) => ['push', '-q', stand.ref('v1', repository)],
      pull: (stand, repository) => ['pull', '-q', stand.ref('v1', repository)],
    }),
  ],
}
