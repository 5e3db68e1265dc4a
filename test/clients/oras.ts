// oras: artifacts of any kind, and what refers to them.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { tokenScenarios } from './accounts.ts'
import { LARGEST_LAYER_BYTES, madeUpBytes } from './images.ts'
import { type Client, type Stand, WITH_LOGIN } from './scenario.ts'

const TYPE = 'application/vnd.example.chart.v1'
const NOTE_TYPE = 'application/vnd.example.note.v1'
const LARGE_FILE_BYTES = 64 * 1024 * 1024

/** oras takes localhost for plain HTTP unless told. */
function plain(stand: Stand): string {
  return `--plain-http=${!stand.secure}`
}

function oras(stand: Stand, command: string, ...args: string[]): Promise<string> {
  return stand.ok('oras', [...command.split(' '), plain(stand), ...args])
}

/** oras refuses absolute paths: its files are named in the scenario's folder. */
async function pushArtifact(stand: Stand, tags = 'v1'): Promise<void> {
  await writeFile(stand.path('crate.txt'), 'a crate\n')
  await writeFile(stand.path('crate.bin'), madeUpBytes('crate', 300_000))
  await oras(stand, 'push', '--artifact-type', TYPE, stand.ref(tags), 'crate.txt:text/plain', 'crate.bin')
}

async function attach(stand: Stand, subject: string, note: string): Promise<string> {
  await writeFile(stand.path('note.txt'), note)
  const args = ['--artifact-type', NOTE_TYPE, '--format', 'json', subject, 'note.txt:text/plain']
  return JSON.parse(await oras(stand, 'attach', ...args)).digest
}

async function referrersOf(stand: Stand, subject: string, ...args: string[]): Promise<string[]> {
  const found = JSON.parse(await oras(stand, 'discover', '--format', 'json', ...args, subject))
  return (found.referrers ?? []).map((one: { digest: string }) => one.digest)
}

export const orasClient: Client = {
  name: 'oras',
  programs: ['oras'],
  shown: ['oras'],
  scenarios: [
    {
      name: 'push-pull',
      does: 'push an artifact under three tags at once; pull gives the same files',
      async run(stand) {
        await pushArtifact(stand, 'v1,v2,latest')
        assert.deepEqual(await stand.registry.tags(stand.repository), ['latest', 'v1', 'v2'])
        await oras(stand, 'pull', '-o', 'got', stand.ref('v2'))
        assert.equal(await readFile(stand.path('got', 'crate.txt'), 'utf8'), 'a crate\n')
        assert.deepEqual(await readFile(stand.path('got', 'crate.bin')), madeUpBytes('crate', 300_000))
        const manifest = await stand.registry.manifest(stand.repository, 'v1')
        assert.equal(manifest?.body.artifactType, TYPE)
      },
    },
    {
      name: 'restart',
      does: 'an artifact and its referrer are there after a restart of the server',
      async run(stand) {
        await pushArtifact(stand)
        const note = await attach(stand, stand.ref(), 'before the restart')
        await stand.restartServer()
        await oras(stand, 'pull', '-o', 'got', stand.ref())
        assert.deepEqual(await referrersOf(stand, stand.ref()), [note])
      },
    },
    {
      name: 'login',
      does: 'login and logout; a wrong password and no login are refused',
      servers: WITH_LOGIN,
      async run(stand) {
        const { username, password } = stand.login
        const env = await stand.stranger('fresh')
        await writeFile(stand.path('a.txt'), 'a')
        const push = ['push', plain(stand), stand.ref(), 'a.txt']
        const login = ['login', plain(stand), stand.host, '-u', username, '--password-stdin']
        await stand.refused('oras', push, { env })
        assert.match(await stand.refused('oras', login, { env, input: 'wrong' }), /401|nauthorized/)
        assert.match(await stand.ok('oras', login, { env, input: password }), /Login Succeeded/)
        await stand.ok('oras', push, { env })
        await stand.ok('oras', ['logout', stand.host], { env })
        await stand.refused('oras', push, { env })
      },
    },
    {
      name: 'by-digest',
      does: 'resolve; pull and fetch by digest; tag a digest',
      async run(stand) {
        await pushArtifact(stand)
        const digest = (await oras(stand, 'resolve', stand.ref())).trim()
        assert.equal(digest, await stand.digest())
        await oras(stand, 'pull', '-o', 'got', stand.at(digest))
        await oras(stand, 'manifest fetch', stand.at(digest))
        await oras(stand, 'tag', stand.at(digest), 'v3', 'v4')
        assert.deepEqual(await stand.registry.tags(stand.repository), ['v1', 'v3', 'v4'])
      },
    },
    {
      name: 'list',
      does: 'repo tags with --last, repo ls of a name space',
      async run(stand) {
        await pushArtifact(stand, 'a,b,c')
        const repository = `${stand.host}/${stand.repository}`
        assert.equal(await oras(stand, 'repo tags', repository), 'a\nb\nc\n')
        assert.equal(await oras(stand, 'repo tags', '--last', 'a', repository), 'b\nc\n')
        const names = (await oras(stand, 'repo ls', `${stand.host}/oras`)).trim().split('\n')
        assert.ok(names.includes('list'), `repo ls: ${names}`)
      },
    },
    {
      name: 'attach-discover',
      does: 'attach two referrers, discover them, also by type; a referrer of a referrer; pull --include-subject',
      async run(stand) {
        await pushArtifact(stand)
        const first = await attach(stand, stand.ref(), 'first')
        const second = await attach(stand, stand.ref(), 'second')
        const other = ['--artifact-type', 'application/vnd.example.other', '--annotation', 'a=b', stand.ref()]
        await oras(stand, 'attach', ...other)
        assert.equal((await referrersOf(stand, stand.ref(), '--depth', '1')).length, 3)
        const notes = await referrersOf(stand, stand.ref(), '--artifact-type', NOTE_TYPE)
        assert.deepEqual(notes.toSorted(), [first, second].toSorted())
        await attach(stand, stand.at(first), 'a note on a note')
        assert.match(await oras(stand, 'discover', '--format', 'tree', stand.ref()), /vnd\.example\.note/)
        await oras(stand, 'pull', '--include-subject', '-o', 'got', stand.at(first))
        assert.equal(await readFile(stand.path('got', 'crate.txt'), 'utf8'), 'a crate\n')
        const stored = await stand.registry.referrers(stand.repository, await stand.digest())
        assert.equal(stored.length, 3)
      },
    },
    {
      name: 'copy-recursive',
      does: 'cp -r carries the referrers to another repository and to a layout and back',
      async run(stand) {
        await pushArtifact(stand)
        const note = await attach(stand, stand.ref(), 'carried')
        const http = [`--from-plain-http=${!stand.secure}`, `--to-plain-http=${!stand.secure}`]
        const target = `${stand.repository}-target`
        await stand.ok('oras', ['cp', '-r', ...http, stand.ref(), stand.ref('v1', target)])
        assert.deepEqual(await referrersOf(stand, stand.ref('v1', target)), [note])
        await stand.ok('oras', ['cp', '-r', ...http.slice(0, 1), '--to-oci-layout', stand.ref(), 'layout:v1'])
        const back = stand.ref('v1', `${stand.repository}-back`)
        await stand.ok('oras', ['cp', '-r', ...http.slice(1), '--from-oci-layout', 'layout:v1', back])
        assert.deepEqual(await referrersOf(stand, back), [note])
      },
    },
    {
      name: 'multi-arch',
      does: 'cp of an index from a layout, one platform of it, manifest index create',
      async run(stand) {
        const { multi, multiDigest } = stand.images
        const to = `--to-plain-http=${!stand.secure}`
        await stand.ok('oras', ['cp', to, '--from-oci-layout', `${multi}:multi`, stand.ref('multi')])
        assert.equal(await stand.digest('multi'), multiDigest)
        const platforms = ['amd64', 'arm64']
        for (const platform of platforms) {
          const only = ['--platform', `linux/${platform}`, `--from-plain-http=${!stand.secure}`, to]
          await stand.ok('oras', ['cp', ...only, stand.ref('multi'), stand.ref(platform)])
        }
        await oras(stand, 'manifest index create', stand.ref('joined'), ...platforms)
        const joined = await stand.registry.manifest(stand.repository, 'joined')
        assert.deepEqual(
          joined?.body.manifests?.map((one) => one.platform?.architecture),
          platforms,
        )
      },
    },
    {
      name: 'backup-restore',
      does: 'backup of all tags with referrers to an archive; restore into another repository',
      async run(stand) {
        await pushArtifact(stand, 'v1,v2')
        const note = await attach(stand, stand.ref(), 'kept')
        const repository = `${stand.host}/${stand.repository}`
        await oras(stand, 'backup', '--include-referrers', '-o', 'saved.tar', repository)
        const target = `${stand.repository}-restored`
        await oras(stand, 'restore', '--input', 'saved.tar', `${stand.host}/${target}`)
        assert.deepEqual(await stand.registry.tags(target), await stand.registry.tags(stand.repository))
        assert.deepEqual(await referrersOf(stand, stand.ref('v1', target)), [note])
      },
    },
    {
      name: 'blob',
      does: 'blob push, fetch and delete, of stdin too',
      async run(stand) {
        const repository = `${stand.host}/${stand.repository}`
        await writeFile(stand.path('blob'), 'a blob')
        const digest = JSON.parse(await oras(stand, 'blob push', '--descriptor', repository, 'blob')).digest
        assert.equal(await oras(stand, 'blob fetch', '--output', '-', stand.at(digest)), 'a blob')
        await oras(stand, 'blob fetch', '--descriptor', stand.at(digest))
        const streamed = `sha256:${createHash('sha256').update('streamed').digest('hex')}`
        const pipe = ['blob', 'push', plain(stand), '--size', '8', stand.at(streamed), '-']
        await stand.refused('oras', pipe, { input: 'tampered' })
        assert.equal(await stand.registry.hasBlob(stand.repository, streamed), false)
        await stand.ok('oras', pipe, { input: 'streamed' })
        assert.equal(await stand.registry.hasBlob(stand.repository, streamed), true)
        await oras(stand, 'blob delete', '--force', stand.at(digest))
        assert.equal(await stand.registry.hasBlob(stand.repository, digest), false)
      },
    },
    {
      name: 'manifest',
      does: 'manifest push under two tags, fetch, fetch-config, delete',
      async run(stand) {
        await pushArtifact(stand)
        const text = await oras(stand, 'manifest fetch', stand.ref())
        await writeFile(stand.path('manifest.json'), text)
        await oras(stand, 'manifest push', stand.ref('v2,v3'), 'manifest.json')
        assert.equal(await stand.digest('v3'), await stand.digest('v1'))
        assert.equal(await oras(stand, 'manifest fetch-config', stand.ref('v3')), '{}')
        await oras(stand, 'manifest delete', '--force', stand.at(await stand.digest()))
        assert.equal(await stand.registry.manifest(stand.repository, 'v3'), undefined)
      },
    },
    {
      name: 'large-file',
      does: 'an artifact of 64 MiB there and back',
      long: true,
      async run(stand) {
        const bytes = madeUpBytes(stand.host, LARGE_FILE_BYTES)
        await mkdir(stand.path('got'))
        await writeFile(stand.path('large.bin'), bytes)
        await oras(stand, 'push', stand.ref(), 'large.bin')
        await oras(stand, 'pull', '-o', 'got', stand.ref())
        assert.ok(bytes.equals(await readFile(stand.path('got', 'large.bin'))))
      },
    },
    ...tokenScenarios({
      program: 'oras',
      prepare: (stand) => writeFile(stand.path('a.txt'), madeUpBytes('a', LARGEST_LAYER_BYTES)),
      login: (stand, username) => ['login', plain(stand), stand.host, '-u', username, '--password-stdin'],
      push: (stand, repository) => ['push', plain(stand), stand.ref('v1', repository), 'a.txt'],
      pull: (stand, repository) => ['pull', plain(stand), '-o', 'got', stand.ref('v1', repository)],
    }),
  ],
}
