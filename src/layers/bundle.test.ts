import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type RuntimeSpecInput, runtimeSpec, unpackBundle } from '#layers/bundle.ts'
import { type CraftedEntry, layer } from '#layers/crafted-tar.suite.ts'
import { parseImageConfig } from '#layers/image-config.ts'
import { findUser } from '#layers/image-user.ts'
import { removeTree } from '#layers/new-folder.ts'

const PASSWD =
  'root:x:0:0:root:/root:/bin/sh\n# comment\n\nnobody:x:65534:65533:n:/nonexistent:/bin/sh\nbroken\n'
const GROUP = 'root:x:0:\nmail:x:8:nobody\nextra:x:99:root, nobody\n'

const users: readonly { spec: string; uid: number; gid: number; more: number[]; home?: string }[] = [
  { spec: '', uid: 0, gid: 0, more: [99], home: '/root' },
  { spec: 'nobody', uid: 65534, gid: 65533, more: [8, 99], home: '/nonexistent' },
  { spec: '65534', uid: 65534, gid: 65533, more: [8, 99], home: '/nonexistent' },
  { spec: 'nobody:mail', uid: 65534, gid: 8, more: [], home: '/nonexistent' },
  { spec: '1234', uid: 1234, gid: 0, more: [] },
  { spec: '1234:99', uid: 1234, gid: 99, more: [] },
  { spec: '1234:4321', uid: 1234, gid: 4321, more: [] },
  { spec: ':mail', uid: 0, gid: 8, more: [], home: '/root' },
]

for (const { spec, uid, gid, more, home } of users)
  test(`an image that runs as "${spec}" runs as ${uid}:${gid}`, () => {
    assert.deepEqual(findUser(spec, PASSWD, GROUP), { uid, gid, additionalGids: more, home })
  })

test('a user or group that the image does not have is an error that names it', () => {
  assert.throws(() => findUser('alice', PASSWD, GROUP), { code: 'USER_UNKNOWN', message: /user "alice"/ })
  assert.throws(() => findUser('0:wheel', PASSWD, GROUP), { code: 'USER_UNKNOWN', message: /group "wheel"/ })
  assert.throws(() => findUser('-1', PASSWD, GROUP), { code: 'USER_UNKNOWN' })
})

const IMAGE = {
  architecture: 'arm64',
  variant: 'v8',
  os: 'linux',
  author: 'me',
  created: '2024-01-01T00:00:00Z',
  config: {
    User: 'nobody',
    Env: ['A=b', 'TERM=dumb', 'EMPTY='],
    Entrypoint: ['/bin/sh'],
    Cmd: ['-c', 'echo hi'],
    WorkingDir: '/srv',
    ExposedPorts: { '80/tcp': {}, '53/udp': {} },
    Volumes: { '/data': {} },
    Labels: { l: 'v', 'org.opencontainers.image.author': 'the label' },
    StopSignal: 'SIGTERM',
  },
}

function specOf(config: unknown, more: Partial<RuntimeSpecInput> = {}) {
  const spec = runtimeSpec({ config: parseImageConfig(config), passwd: PASSWD, group: GROUP, ...more })
  return JSON.parse(JSON.stringify(spec))
}

test('the process, annotations and volumes of the image config are in config.json', () => {
  const { process, annotations, mounts } = specOf(IMAGE)
  assert.deepEqual(process.args, ['/bin/sh', '-c', 'echo hi'])
  assert.equal(process.cwd, '/srv')
  assert.deepEqual(process.user, { uid: 65534, gid: 65533, additionalGids: [8, 99] })
  assert.deepEqual(process.env, [
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'TERM=dumb',
    'A=b',
    'EMPTY=',
    'HOME=/nonexistent',
  ])
  assert.deepEqual(annotations, {
    'org.opencontainers.image.os': 'linux',
    'org.opencontainers.image.architecture': 'arm64',
    'org.opencontainers.image.variant': 'v8',
    'org.opencontainers.image.author': 'the label',
    'org.opencontainers.image.created': '2024-01-01T00:00:00Z',
    'org.opencontainers.image.stopSignal': 'SIGTERM',
    'org.opencontainers.image.exposedPorts': '53/udp,80/tcp',
    l: 'v',
  })
  assert.equal(mounts.at(-1).destination, '/data')
})

test("docker's nulls and an empty config are read as nothing", () => {
  const nulls = { config: { Env: null, Cmd: null, Entrypoint: null, Labels: null, Volumes: null } }
  for (const config of [nulls, { config: null }, {}]) {
    const { process } = specOf(config)
    assert.deepEqual([process.args, process.cwd], [['sh'], '/'])
  }
})

test('a config that is none says what is wrong with it', () => {
  assert.throws(() => parseImageConfig({ config: { Cmd: 'echo' } }), {
    code: 'CONFIG_INVALID',
    message: /config\.Cmd/,
  })
  assert.throws(() => parseImageConfig('text'), { code: 'CONFIG_INVALID' })
})

test('a rootless bundle maps root to us, and asks for nothing that we may not do', () => {
  const { process, linux, mounts } = specOf({}, { rootless: { uid: 1000, gid: 100 } })
  assert.deepEqual(linux.uidMappings, [{ containerID: 0, hostID: 1000, size: 1 }])
  assert.deepEqual(linux.gidMappings, [{ containerID: 0, hostID: 100, size: 1 }])
  const namespaces = linux.namespaces.map(({ type }: { type: string }) => type)
  assert.deepEqual(namespaces, ['pid', 'ipc', 'uts', 'mount', 'user'])
  assert.equal(linux.resources, undefined)
  assert.equal(process.user.additionalGids, undefined)
  assert.ok(!JSON.stringify(mounts).includes('gid=5'))
})

function scratch(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'stowage-bundle-'))
  context.after(() => removeTree(folder))
  return folder
}

test('a bundle is a root file system beside its config.json, closed to others', async (context) => {
  const into = join(scratch(context), 'bundle')
  const layers = [layer({ name: 'etc/passwd', content: PASSWD }, { name: 'etc/group', content: GROUP })]
  await unpackBundle({ layers, into, config: IMAGE })
  assert.deepEqual(readdirSync(into).sort(), ['config.json', 'rootfs'])
  assert.equal(statSync(into).mode & 0o777, 0o700)
  const { process: started } = JSON.parse(readFileSync(join(into, 'config.json'), 'utf8'))
  assert.equal(started.user.uid, 65534)
})

test("accounts are read where the image's symlinks lead, and never from the host", async (context) => {
  const folder = scratch(context)
  writeFileSync(join(folder, 'passwd'), 'nobody:x:666:666::/:\n')
  const bundle = async (name: string, entries: CraftedEntry[]) => {
    const into = join(folder, name)
    await unpackBundle({ layers: [layer(...entries)], into, config: { config: { User: 'nobody' } } })
    return JSON.parse(readFileSync(join(into, 'config.json'), 'utf8')).process.user.uid
  }
  const inside = await bundle('inside', [
    { name: 'etc', type: '2', link: '/store/current' },
    { name: 'store/current', type: '2', link: '../store/v1/' },
    { name: 'store/v1/passwd', type: '2', link: './real' },
    { name: 'store/v1/real', content: PASSWD },
  ])
  assert.equal(inside, 65534)
  for (const link of [join(folder, 'passwd'), '../../../passwd', '/etc/passwd', 'passwd'])
    await assert.rejects(bundle('outside', [{ name: 'etc/passwd', type: '2', link }]), {
      code: 'USER_UNKNOWN',
    })
  await assert.rejects(bundle('pipe', [{ name: 'etc/passwd', type: '6' }]), { code: 'USER_UNKNOWN' })
  assert.deepEqual(readdirSync(folder).sort(), ['inside', 'passwd'])
})

/** A busybox that needs no libraries, and a runc that may start containers here. */
function whyNoContainer(): string | false {
  if (process.getuid?.() !== 0) return 'needs root'
  if (spawnSync('runc', ['--version']).status !== 0) return 'needs runc'
  if (spawnSync('busybox', ['true']).status !== 0) return 'needs busybox'
  if (spawnSync('ldd', ['/bin/busybox'], { encoding: 'utf8' }).stdout.includes('=>'))
    return 'needs a static busybox'
  const folder = mkdtempSync(join(tmpdir(), 'stowage-runc-'))
  try {
    execFileSync('runc', ['spec'], { cwd: folder })
    const tried = spawnSync('unshare', ['--pid', '--mount', '--net', '--fork', 'true'])
    return tried.status === 0 ? false : 'this system does not let us make namespaces'
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('runc starts the bundle, as the user and in the folder of the image', {
  skip: whyNoContainer(),
}, async (context) => {
  const folder = scratch(context)
  const into = join(folder, 'bundle')
  const layers = [
    layer(
      { name: 'bin/busybox', content: readFileSync('/bin/busybox'), mode: 0o755 },
      { name: 'bin/sh', type: '2', link: 'busybox' },
      { name: 'etc/passwd', content: PASSWD },
      { name: 'etc/group', content: GROUP },
      { name: 'srv/' },
    ),
  ]
  const config = { ...IMAGE, config: { ...IMAGE.config, Cmd: ['-c', 'busybox id; pwd; echo $A $HOME'] } }
  await unpackBundle({ layers, into, config })
  const path = join(into, 'config.json')
  const spec = JSON.parse(readFileSync(path, 'utf8'))
  // The test has no terminal, and the machine may have no cgroup v1 to mount.
  spec.process.terminal = false
  writeFileSync(path, JSON.stringify(spec))
  const name = `stowage-test-${process.pid}`
  const ran = spawnSync('runc', ['--root', join(folder, 'state'), 'run', '--bundle', into, name], {
    encoding: 'utf8',
    timeout: 20_000,
  })
  if (ran.status !== 0 && /cgroup/.test(ran.stderr))
    return context.skip(`runc has no cgroups here: ${ran.stderr}`)
  assert.equal(ran.status, 0, ran.stderr)
  assert.equal(ran.stdout, 'uid=65534(nobody) gid=65533 groups=8(mail),99(extra)\n/srv\nb /nonexistent\n')
})
