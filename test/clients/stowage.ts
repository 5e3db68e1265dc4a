// Our own command, as a client like the others; the last scenario speaks with distribution instead.
import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import packageJson from '../../package.json' with { type: 'json' }
import { removeRegistry, startRegistry } from '../processes/registry-server.ts'
import { tokenScenarios } from './accounts.ts'
import { type Client, type Stand, WITH_LOGIN } from './scenario.ts'

const STOWAGE = join(import.meta.dirname, '..', '..', 'bin', 'stowage.js')

async function json(stand: Stand, ...args: string[]) {
  return JSON.parse(await stand.ok('stowage', ['--json', ...args]))
}

async function push(stand: Stand, tag = 'v1'): Promise<void> {
  await stand.ok('stowage', ['push', stand.images.app, stand.ref(tag)])
}

async function pushIndex(stand: Stand, tag = 'multi'): Promise<void> {
  await stand.ok('stowage', ['push', stand.images.multi, stand.ref(tag)])
}

export const stowageClient: Client = {
  name: 'stowage',
  programs: [],
  shown: [],
  version: `stowage ${packageJson.version}`,
  async prepare(ground) {
    const bin = join(ground.dir, 'stowage-bin')
    await mkdir(bin)
    const script = `#!/bin/sh\nexec '${process.execPath}' '${STOWAGE}' "$@"\n`
    await writeFile(join(bin, 'stowage'), script, { mode: 0o755 })
    return { env: { PATH: `${bin}${delimiter}${ground.env['PATH']}` }, stop: async () => {} }
  },
  scenarios: [
    {
      name: 'push-pull',
      does: 'push keeps the digest; pull to a folder and to archives, docker’s too, and push of those',
      async run(stand) {
        await push(stand)
        assert.equal(await stand.digest(), stand.images.appDigest)
        await stand.ok('stowage', ['pull', stand.ref(), './layout'])
        const index = JSON.parse(await readFile(stand.path('layout', 'index.json'), 'utf8'))
        assert.equal(index.manifests[0].digest, stand.images.appDigest)
        await stand.ok('stowage', ['pull', stand.ref(), 'image.tar'])
        await stand.ok('stowage', ['push', 'image.tar', stand.ref('archive')])
        assert.equal(await stand.digest('archive'), stand.images.appDigest)
        await stand.ok('stowage', ['pull', stand.ref(), 'docker-archive:docker.tar:app:v1'])
        await stand.ok('stowage', ['push', 'docker-archive:docker.tar', stand.ref('docker')])
        assert.equal((await json(stand, 'verify', stand.ref('docker'))).wrong.length, 0)
      },
    },
    {
      name: 'restart',
      does: 'an image is there after a restart of the server, and a second push sends nothing anew',
      async run(stand) {
        await push(stand)
        await stand.restartServer()
        const { copied } = await json(stand, 'push', stand.images.app, stand.ref('again'))
        assert.equal(copied.blobs, 0)
        assert.deepEqual((await json(stand, 'verify', '--all-tags', stand.ref().slice(0, -3))).wrong, [])
      },
    },
    {
      name: 'login',
      does: 'login and logout; a wrong password and no login are refused',
      servers: WITH_LOGIN,
      async run(stand) {
        const { username, password } = stand.login
        const env = await stand.stranger('fresh')
        const list = ['list', `${stand.host}/${stand.repository}`]
        await push(stand)
        const login = ['login', '--username', username, '--password-stdin', stand.host]
        assert.match(await stand.refused('stowage', list, { env }), /log in with: stowage login/)
        assert.match(await stand.refused('stowage', login, { env, input: 'wrong' }), /does not take/)
        await stand.ok('stowage', login, { env, input: password })
        await stand.ok('stowage', list, { env })
        await stand.ok('stowage', ['logout', stand.host], { env })
        await stand.refused('stowage', list, { env })
      },
    },
    {
      name: 'certificates',
      does: '--ca names the authority; without it, and without --insecure, nothing is sent',
      servers: WITH_LOGIN,
      async run(stand) {
        const env = { SSL_CERT_FILE: '' }
        assert.match(await stand.refused('stowage', ['list', stand.host], { env }), /--ca FILE/)
        await stand.ok('stowage', ['list', '--ca', stand.caFile, stand.host], { env })
        await stand.ok('stowage', ['list', '--insecure', stand.host], { env })
      },
    },
    {
      name: 'multi-arch',
      does: 'push and pull of an index; pull, copy and inspect of one platform',
      async run(stand) {
        await pushIndex(stand)
        assert.equal(await stand.digest('multi'), stand.images.multiDigest)
        const { platforms } = await json(stand, 'inspect', stand.ref('multi'))
        assert.equal(platforms.length, 2)
        const arm = await json(stand, 'inspect', '--platform', 'linux/arm64', stand.ref('multi'))
        assert.equal(arm.run.platform, 'linux/arm64')
        const one = ['--platform', 'linux/amd64', stand.ref('multi'), stand.ref('amd64')]
        await stand.ok('stowage', ['copy', ...one])
        assert.equal(await stand.digest('amd64'), stand.images.appDigest)
        await stand.ok('stowage', ['pull', stand.ref('multi'), './layout'])
        assert.deepEqual((await json(stand, 'verify', './layout')).wrong, [])
      },
    },
    {
      name: 'copy',
      does: 'copy to another repository mounts; copy --all-tags; tag; list',
      async run(stand) {
        await pushIndex(stand)
        await push(stand)
        const target = `${stand.host}/${stand.repository}-target`
        const { copied, mounted } = await json(stand, 'copy', stand.ref('multi'), `${target}:multi`)
        assert.ok(copied.blobs === 0 && mounted.blobs > 0)
        await stand.ok('stowage', ['copy', '--all-tags', stand.ref().slice(0, -3), target])
        await stand.ok('stowage', ['tag', `${target}:v1`, 'v2'])
        assert.deepEqual(await stand.registry.tags(`${stand.repository}-target`), ['multi', 'v1', 'v2'])
        assert.equal(await stand.ok('stowage', ['list', target]), 'multi\nv1\nv2\n')
      },
    },
    {
      name: 'referrers',
      does: 'what another client attached is shown as a tree and copied along',
      async run(stand) {
        await push(stand)
        await writeFile(stand.path('sbom.json'), '{}')
        const attach = ['attach', '--artifact-type', 'application/example.sbom', stand.ref(), 'sbom.json']
        await stand.ok('oras', [...attach, `--plain-http=${!stand.secure}`])
        assert.match(await stand.ok('stowage', ['inspect', stand.ref()]), /└ application\/example\.sbom/)
        const target = `${stand.repository}-target`
        const { referrers } = await json(stand, 'copy', '--referrers', stand.ref(), stand.ref('v1', target))
        assert.equal(referrers, 1)
        assert.equal((await stand.registry.referrers(target, stand.images.appDigest)).length, 1)
      },
    },
    {
      name: 'sync',
      does: 'sync to a folder and back under a prefix, proved to be equal; a second run sends nothing',
      async run(stand) {
        await push(stand)
        await pushIndex(stand)
        const there = ['sync', '--from', stand.host, '--to', './mirror', `${stand.repository}`]
        assert.deepEqual((await json(stand, ...there)).proof.differences, [])
        const back = ['sync', '--from', './mirror', '--to', stand.host, '--all', '--prefix', 'mirrored']
        assert.deepEqual((await json(stand, ...back)).proof.differences, [])
        assert.equal(await stand.digest('multi', `mirrored/${stand.repository}`), stand.images.multiDigest)
        assert.equal((await json(stand, ...back)).manifestsCopied.total, 0)
      },
    },
    {
      name: 'unpack',
      does: 'unpack of an image in the registry has the files that were packed; diff with another',
      async run(stand) {
        await push(stand)
        await stand.ok('stowage', ['unpack', '--rootless', stand.ref(), './rootfs'])
        await stand.ok('diff', ['-r', '--no-dereference', stand.images.rootfs, 'rootfs'])
        const { totals } = await json(stand, 'diff', stand.ref(), stand.images.app)
        assert.deepEqual([totals.added, totals.removed, totals.changed], [0, 0, 0])
      },
    },
    {
      name: 'delete',
      does: 'delete of a tag leaves the other tag, delete by digest takes the image away',
      async run(stand) {
        await push(stand)
        await stand.ok('stowage', ['tag', stand.ref(), 'kept'])
        await stand.ok('stowage', ['delete', '--yes', stand.ref()])
        assert.deepEqual(await stand.registry.tags(stand.repository), ['kept'])
        await stand.ok('stowage', ['delete', '--yes', stand.at(stand.images.appDigest)])
        await stand.refused('stowage', ['inspect', stand.ref('kept')])
      },
    },
    {
      name: 'distribution',
      does: 'the same against distribution 3.1.1: push, copy to it, sync, inspect, verify, delete',
      async run(stand) {
        await push(stand)
        await pushIndex(stand)
        const other = await startRegistry('distribution', { parent: stand.dir })
        try {
          const app = `${other.host}/app`
          await stand.ok('stowage', ['push', stand.images.app, `${app}:v1`])
          const { digest } = await json(stand, 'copy', stand.ref('multi'), `http://${app}:multi`)
          assert.equal(digest, stand.images.multiDigest)
          const sync = ['sync', '--from', stand.host, '--to', `http://${other.host}`, stand.repository]
          assert.deepEqual((await json(stand, ...sync)).proof.differences, [])
          assert.equal((await json(stand, ...sync)).manifestsCopied.total, 0)
          assert.equal((await json(stand, 'inspect', `${app}:v1`)).digest, stand.images.appDigest)
          assert.deepEqual((await json(stand, 'verify', '--all-tags', app)).wrong, [])
          await stand.ok('stowage', ['delete', '--yes', `${app}:v1`])
          assert.equal(await stand.ok('stowage', ['list', app]), 'multi\n')
        } finally {
          await removeRegistry(other)
        }
      },
    },
    ...tokenScenarios({
      program: 'stowage',
      login: (stand, username) => ['login', '--username', username, '--password-stdin', stand.host],
      push: (stand, repository) => ['push', stand.images.app, stand.ref('v1', repository)],
      pull: (stand, repository) => ['pull', stand.ref('v1', repository), stand.path('got')],
    }),
  ],
}
