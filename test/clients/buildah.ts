// buildah: builds on images of the registry and pushes what it built; Debian's version.
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { GREETING } from './images.ts'
import { type Client, type Stand, WITH_LOGIN } from './scenario.ts'

/** Builds an image from nothing, command by command. @returns its id */
async function build(stand: Stand, tag = 'v1', arch = 'amd64'): Promise<string> {
  const container = (await stand.ok('buildah', ['from', '--arch', arch, 'scratch'])).trim()
  await stand.ok('buildah', ['copy', '-q', container, stand.images.rootfs, '/'])
  await stand.ok('buildah', ['config', '--arch', arch, '--env', 'PATH=/bin', '--cmd', '/bin/sh', container])
  return (await stand.ok('buildah', ['commit', '-q', '--rm', container, stand.ref(tag)])).trim()
}

async function forget(stand: Stand, ...ids: string[]): Promise<void> {
  await stand.ok('buildah', ['rmi', '-f', ...ids])
}

async function push(stand: Stand, ...args: string[]): Promise<void> {
  await stand.ok('buildah', ['push', '-q', ...args, stand.ref()])
}

export const buildah: Client = {
  name: 'buildah',
  programs: ['buildah'],
  shown: ['buildah'],
  needsRoot: true,
  scenarios: [
    {
      name: 'push-pull',
      does: 'build from scratch, push, pull after all is gone here: the same image id',
      async run(stand) {
        const id = await build(stand)
        await push(stand)
        await forget(stand, id)
        assert.equal((await stand.ok('buildah', ['pull', '-q', stand.ref()])).trim(), id)
        await forget(stand, id)
      },
    },
    {
      name: 'restart',
      does: 'pull after a restart of the server',
      async run(stand) {
        const id = await build(stand)
        await push(stand)
        await stand.restartServer()
        await forget(stand, id)
        assert.equal((await stand.ok('buildah', ['pull', '-q', stand.ref()])).trim(), id)
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
        const id = await build(stand)
        const send = ['push', '-q', stand.ref()]
        assert.match(
          await stand.refused('buildah', send, { env }),
          /authentication required|unauthorized|denied/,
        )
        await stand.refused('buildah', login, { env, input: 'wrong' })
        await stand.ok('buildah', login, { env, input: password })
        await stand.ok('buildah', send, { env })
        await stand.ok('buildah', ['logout', stand.host], { env })
        await stand.refused('buildah', send, { env })
        await forget(stand, id)
      },
    },
    {
      name: 'by-digest',
      does: 'push --digestfile names the registry’s digest; pull by it; --format v2s2',
      async run(stand) {
        const id = await build(stand)
        await push(stand, '--format', 'v2s2', '--digestfile', stand.path('digest'))
        const digest = await stand.digest()
        assert.equal(await stand.ok('cat', [stand.path('digest')]), digest)
        await forget(stand, id)
        const pulled = (await stand.ok('buildah', ['pull', '-q', stand.at(digest)])).trim()
        await forget(stand, pulled)
      },
    },
    {
      name: 'build-on-pulled',
      does: 'a Dockerfile FROM an image of the registry, with RUN, is built and pushed; layers are mounted or there',
      async run(stand) {
        const id = await build(stand, 'base')
        await stand.ok('buildah', ['push', '-q', stand.ref('base')])
        await forget(stand, id)
        await mkdir(stand.path('context'))
        const recipe = [`FROM ${stand.ref('base')}`, 'RUN cat /hello.txt > /copied.txt', '']
        await writeFile(stand.path('context', 'Dockerfile'), recipe.join('\n'))
        await stand.ok('buildah', ['build', '-q', '--layers', '-t', stand.ref(), stand.path('context')])
        await push(stand)
        const stored = await stand.registry.manifest(stand.repository, 'v1')
        assert.equal(stored?.body.layers?.length, 2)
        const container = (await stand.ok('buildah', ['from', '--pull-always', stand.ref()])).trim()
        const said = await stand.ok('buildah', ['run', container, '--', '/bin/cat', '/copied.txt'])
        assert.equal(said, `${GREETING}\n`)
        await stand.ok('buildah', ['rm', container])
        await forget(stand, stand.ref(), stand.ref('base'))
      },
    },
    {
      name: 'multi-arch',
      does: 'build for two platforms into one manifest, manifest push --all, pull of one',
      async run(stand) {
        const list = stand.ref('multi')
        await stand.ok('buildah', ['manifest', 'create', list])
        const ids: string[] = []
        for (const arch of ['amd64', 'arm64']) {
          ids.push(await build(stand, arch, arch))
          await stand.ok('buildah', ['manifest', 'add', '--arch', arch, list, stand.ref(arch)])
        }
        await stand.ok('buildah', ['manifest', 'push', '--all', '-q', list, `docker://${list}`])
        await stand.ok('buildah', ['manifest', 'rm', list])
        await forget(stand, ...ids)
        const stored = await stand.registry.manifest(stand.repository, 'multi')
        assert.deepEqual(
          stored?.body.manifests?.map((one) => one.platform?.architecture),
          ['amd64', 'arm64'],
        )
        const id = (await stand.ok('buildah', ['pull', '-q', '--arch', 'arm64', list])).trim()
        assert.equal(id, ids[1])
        await forget(stand, id)
      },
    },
  ],
}
