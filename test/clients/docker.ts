// docker: the command line and a dockerd of its own, on a private socket and data root.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { tokenScenarios } from './accounts.ts'
import { runCommand } from './command.ts'
import { GREETING, madeUpBytes } from './images.ts'
import { type Client, type Ground, type Prepared, type Stand, WITH_LOGIN } from './scenario.ts'

const DAEMON_START_MS_MAX = 60_000
const DAEMON_STOP_MS_MAX = 30_000
const PROBE_MS = 200
const LARGE_LAYERS = 8
const LARGE_LAYER_BYTES = 16 * 1024 * 1024

/** Starts dockerd without a network of its own, so that it changes nothing on the machine. */
async function startDaemon(ground: Ground): Promise<Prepared> {
  const dir = join(ground.dir, 'dockerd')
  await mkdir(dir)
  const socket = `unix://${join(dir, 'd.sock')}`
  const args = ['--data-root', join(dir, 'data'), '--exec-root', join(dir, 'exec'), '-p', join(dir, 'pid')]
  const host = ['-H', socket, '--iptables=false', '--bridge=none', '--storage-driver=vfs']
  const log = openSync(join(dir, 'log'), 'a')
  const daemon = spawn('dockerd', [...args, ...host], { env: ground.env, stdio: ['ignore', log, log] })
  closeSync(log)
  const env = { DOCKER_HOST: socket, DOCKER_BUILDKIT: '0' }
  const failed = once(daemon, 'error').then(([cause]) => {
    throw new Error('dockerd did not start', { cause })
  })
  try {
    await Promise.race([failed, daemonAnswers(daemon, { ...ground.env, ...env }, join(dir, 'log'))])
  } catch (error) {
    await stopDaemon(daemon)
    throw error
  }
  return {
    env,
    stop: async () => {
      await stopDaemon(daemon)
      // The daemon leaves the name of its network name space mounted, which would keep the folder busy.
      await runCommand('umount', [join(dir, 'exec', 'netns', 'default')], { env: ground.env })
    },
  }
}

async function daemonAnswers(daemon: ChildProcess, env: Record<string, string>, log: string): Promise<void> {
  const deadline = Date.now() + DAEMON_START_MS_MAX
  while (Date.now() < deadline && daemon.exitCode === null) {
    const asked = await runCommand('docker', ['version', '--format', '{{.Server.Version}}'], { env })
    if (asked.code === 0) return
    await sleep(PROBE_MS)
  }
  throw new Error(`dockerd did not answer:\n${(await readFile(log, 'utf8')).slice(-2000)}`)
}

async function stopDaemon(daemon: ChildProcess): Promise<void> {
  if (daemon.pid === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return
  const ended = once(daemon, 'exit')
  daemon.kill('SIGTERM')
  const timer = setTimeout(() => daemon.kill('SIGKILL'), DAEMON_STOP_MS_MAX)
  await ended
  clearTimeout(timer)
}

/** Builds an image of three layers, as a user does. @returns its id */
async function build(stand: Stand, tag = 'v1', marker = 'v1'): Promise<string> {
  const context = stand.path(`context-${marker}`)
  await mkdir(context, { recursive: true })
  await stand.ok('cp', ['-a', `${stand.images.rootfs}/.`, context])
  await writeFile(join(context, 'marker'), marker)
  const recipe = ['FROM scratch', 'COPY bin /bin', 'COPY srv /srv', 'COPY hello.txt marker /']
  recipe.push('ENV PATH=/bin', 'CMD ["/bin/cat", "/hello.txt"]')
  await writeFile(join(context, 'Dockerfile'), `${recipe.join('\n')}\n`)
  await stand.ok('docker', ['build', '-q', '-t', stand.ref(tag), context])
  return imageId(stand, stand.ref(tag))
}

async function imageId(stand: Stand, name: string): Promise<string> {
  return (await stand.ok('docker', ['image', 'inspect', '--format', '{{.Id}}', name])).trim()
}

async function forget(stand: Stand, ...names: string[]): Promise<void> {
  await stand.ok('docker', ['image', 'rm', '-f', ...names])
}

export const docker: Client = {
  name: 'docker',
  programs: ['docker', 'dockerd', 'oras'],
  shown: ['docker', 'dockerd'],
  needsRoot: true,
  prepare: startDaemon,
  scenarios: [
    {
      name: 'push-pull',
      does: 'push, pull after all is gone here: the same image id',
      async run(stand) {
        const id = await build(stand)
        await stand.ok('docker', ['push', stand.ref()])
        await forget(stand, id)
        await stand.refused('docker', ['image', 'inspect', stand.ref()])
        await stand.ok('docker', ['pull', stand.ref()])
        assert.equal(await imageId(stand, stand.ref()), id)
      },
    },
    {
      name: 'run',
      does: 'run of an image that is pulled for it',
      async run(stand) {
        const id = await build(stand)
        await stand.ok('docker', ['push', stand.ref()])
        await forget(stand, id)
        const said = await stand.ok('docker', ['run', '--rm', '--network=host', stand.ref()])
        assert.equal(said, `${GREETING}\n`)
      },
    },
    {
      name: 'restart',
      does: 'pull after a restart of the server; a second push finds all layers there',
      async run(stand) {
        const id = await build(stand)
        await stand.ok('docker', ['push', stand.ref()])
        await stand.restartServer()
        const again = await stand.ok('docker', ['push', stand.ref()])
        assert.match(again, /Layer already exists/)
        assert.doesNotMatch(again, /: Pushed/)
        await forget(stand, id)
        await stand.ok('docker', ['pull', stand.ref()])
        assert.equal(await imageId(stand, stand.ref()), id)
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
        await build(stand)
        assert.match(
          await stand.refused('docker', ['push', stand.ref()], { env }),
          /no basic auth credentials|denied/,
        )
        assert.match(await stand.refused('docker', login, { env, input: 'wrong' }), /unauthorized|401/)
        assert.match(await stand.ok('docker', login, { env, input: password }), /Login Succeeded/)
        await stand.ok('docker', ['push', stand.ref()], { env })
        await stand.ok('docker', ['logout', stand.host], { env })
        await stand.refused('docker', ['pull', stand.ref()], { env })
      },
    },
    {
      name: 'by-digest',
      does: 'the digest that push prints is the registry’s; pull by it',
      async run(stand) {
        const id = await build(stand)
        const said = await stand.ok('docker', ['push', stand.ref()])
        const digest = await stand.digest()
        assert.ok(said.includes(`digest: ${digest}`), said)
        await forget(stand, id)
        await stand.ok('docker', ['pull', stand.at(digest)])
        assert.equal(await imageId(stand, stand.at(digest)), id)
      },
    },
    {
      name: 'all-tags',
      does: 'push --all-tags and pull --all-tags, which lists the tags',
      async run(stand) {
        const id = await build(stand)
        const tags = ['a', 'b', 'v1']
        for (const tag of tags) await stand.ok('docker', ['tag', stand.ref(), stand.ref(tag)])
        const repository = `${stand.host}/${stand.repository}`
        await stand.ok('docker', ['push', '--all-tags', repository])
        assert.deepEqual(await stand.registry.tags(stand.repository), tags)
        await forget(stand, id)
        await stand.ok('docker', ['pull', '--all-tags', repository])
        const listed = await stand.ok('docker', ['image', 'ls', '--format', '{{.Tag}}', repository])
        assert.deepEqual(listed.trim().split('\n').toSorted(), tags)
      },
    },
    {
      name: 'mount',
      does: 'layers of another repository are mounted, not sent',
      async run(stand) {
        await build(stand)
        await stand.ok('docker', ['push', stand.ref()])
        const target = stand.ref('v1', `${stand.repository}-target`)
        await stand.ok('docker', ['tag', stand.ref(), target])
        const said = await stand.ok('docker', ['push', target])
        assert.match(said, /Mounted from/)
        assert.doesNotMatch(said, /: Pushed/)
        assert.equal(await stand.digest('v1', `${stand.repository}-target`), await stand.digest())
      },
    },
    {
      name: 'multi-arch',
      does: 'an index that another client pushed: pull and run take the image for this platform',
      async run(stand) {
        const { multi, appDigest } = stand.images
        await stand.ok('oras', [
          'cp',
          `--to-plain-http=${!stand.secure}`,
          '--from-oci-layout',
          `${multi}:multi`,
          stand.ref('multi'),
        ])
        await stand.ok('docker', ['pull', stand.ref('multi')])
        const image = await stand.registry.manifest(stand.repository, appDigest)
        assert.equal(await imageId(stand, stand.ref('multi')), image?.body.config?.digest)
        const said = await stand.ok('docker', ['run', '--rm', '--network=host', stand.ref('multi')])
        assert.equal(said, `${GREETING}\n`)
      },
    },
    {
      // The command line takes any host below 127.0.0.0/8 for insecure and pushes a list there over plain HTTP only.
      servers: ['plain'],
      name: 'manifest',
      does: 'manifest create, push and inspect; pull picks the platform (plain HTTP is all that it pushes by to localhost)',
      async run(stand) {
        for (const arch of ['amd64', 'arm64']) {
          await stand.ok('docker', [
            'import',
            '--platform',
            `linux/${arch}`,
            stand.images.rootfsTar,
            stand.ref(arch),
          ])
          await stand.ok('docker', ['push', stand.ref(arch)])
        }
        const insecure = '--insecure'
        const parts = [stand.ref('amd64'), stand.ref('arm64')]
        await stand.ok('docker', ['manifest', 'create', insecure, stand.ref('multi'), ...parts])
        await stand.ok('docker', ['manifest', 'push', insecure, stand.ref('multi')])
        await stand.ok('docker', ['manifest', 'inspect', insecure, stand.ref('multi')])
        const list = await stand.registry.manifest(stand.repository, 'multi')
        assert.equal(list?.body.manifests?.length, 2)
        const amd64 = await imageId(stand, stand.ref('amd64'))
        await forget(stand, ...parts)
        await stand.ok('docker', ['pull', stand.ref('multi')])
        assert.equal(await imageId(stand, stand.ref('multi')), amd64)
      },
    },
    {
      name: 'large-layers',
      does: 'eight layers of 16 MiB at once, there and back',
      long: true,
      async run(stand) {
        const recipe = ['FROM scratch']
        await mkdir(stand.path('context'))
        for (let layer = 0; layer < LARGE_LAYERS; layer++) {
          const bytes = madeUpBytes(`${stand.host} ${layer}`, LARGE_LAYER_BYTES)
          await writeFile(stand.path('context', `layer${layer}`), bytes)
          recipe.push(`COPY layer${layer} /`)
        }
        await writeFile(stand.path('context', 'Dockerfile'), `${recipe.join('\n')}\n`)
        await stand.ok('docker', ['build', '-q', '-t', stand.ref(), stand.path('context')])
        const id = await imageId(stand, stand.ref())
        await stand.ok('docker', ['push', stand.ref()])
        await forget(stand, id)
        await stand.ok('docker', ['pull', stand.ref()])
        assert.equal(await imageId(stand, stand.ref()), id)
      },
    },
    ...tokenScenarios({
      program: 'docker',
      async prepare(stand, repository) {
        await build(stand)
        await stand.ok('docker', ['tag', stand.ref(), stand.ref('v1', repository)])
      },
      login: (stand, username) => ['login', '--username', username, '--password-stdin', stand.host],
      push: (stand, repository) => ['push', stand.ref('v1', repository)],
      pull: (stand, repository) => ['pull', stand.ref('v1', repository)],
    }),
  ],
}
