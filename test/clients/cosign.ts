// cosign: signatures and attestations beside the image, with a local key, no transparency log and no network.
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Client, type Stand, WITH_LOGIN } from './scenario.ts'

/** No password on the key. */
const ENV = { COSIGN_PASSWORD: '' }

/** Signatures as referrers, in the bundle format: what cosign 3 does unless told otherwise. */
const AS_REFERRER = ['--signing-config', 'signing.json', '--trusted-root', 'root.json']
/** Signatures under a tag that is made of the digest: what cosign 1 and 2 left in registries. */
const AS_TAG = ['--use-signing-config=false', '--new-bundle-format=false', '--tlog-upload=false']

const VERIFY = ['--key', 'cosign.pub', '--insecure-ignore-tlog']
const VERIFY_REFERRER = [...VERIFY, '--trusted-root', 'root.json']
const VERIFY_TAG = [...VERIFY, '--new-bundle-format=false']

function cosign(stand: Stand, command: string, ...args: string[]): Promise<string> {
  return stand.told('cosign', [...command.split(' '), ...args], { env: ENV })
}

/** Puts the image there and makes a key; services of the outside are named as none. @returns the image by digest */
async function prepare(stand: Stand): Promise<string> {
  await pushImage(stand)
  await cosign(stand, 'generate-key-pair')
  await cosign(stand, 'signing-config create', '--out', 'signing.json')
  await cosign(stand, 'trusted-root create', '--out', 'root.json')
  return stand.at(stand.images.appDigest)
}

/** cosign carries no images of its own: its `load` takes the layout that its `save` wrote, marked as an image. */
async function pushImage(stand: Stand): Promise<void> {
  const layout = stand.path('layout')
  await stand.ok('cp', ['-r', stand.images.app, layout])
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8'))
  index.manifests[0].annotations = { kind: 'dev.cosignproject.cosign/image' }
  await writeFile(join(layout, 'index.json'), JSON.stringify(index))
  await cosign(stand, 'load', '--dir', layout, stand.ref())
  assert.equal(await stand.digest(), stand.images.appDigest)
}

function sign(stand: Stand, image: string, scheme: readonly string[]): Promise<string> {
  return cosign(stand, 'sign', '-y', '--key', 'cosign.key', ...scheme, image)
}

async function attest(stand: Stand, image: string, scheme: readonly string[]): Promise<string> {
  await writeFile(stand.path('predicate.json'), '{"crates":12}')
  const predicate = ['--type', 'custom', '--predicate', 'predicate.json']
  return cosign(stand, 'attest', '-y', '--key', 'cosign.key', ...predicate, ...scheme, image)
}

function tagOf(stand: Stand, suffix: string): string {
  return `${stand.images.appDigest.replace(':', '-')}.${suffix}`
}

export const cosignClient: Client = {
  name: 'cosign',
  programs: ['cosign'],
  shown: ['cosign'],
  scenarios: [
    {
      name: 'sign-referrer',
      does: 'sign and verify, the signature a referrer of the image; a stranger’s key is refused',
      async run(stand) {
        const image = await prepare(stand)
        await stand.refused('cosign', ['verify', ...VERIFY_REFERRER, image])
        await sign(stand, image, AS_REFERRER)
        await cosign(stand, 'verify', ...VERIFY_REFERRER, stand.ref())
        const referrers = await stand.registry.referrers(stand.repository, stand.images.appDigest)
        assert.equal(referrers.length, 1)
        await stand.ok('mkdir', ['other'])
        await stand.ok('cosign', ['generate-key-pair'], { env: ENV, cwd: stand.path('other') })
        const stranger = [
          '--key',
          'other/cosign.pub',
          '--insecure-ignore-tlog',
          '--trusted-root',
          'root.json',
        ]
        await stand.refused('cosign', ['verify', ...stranger, image])
      },
    },
    {
      name: 'sign-tag',
      does: 'sign and verify, the signature under a tag made of the digest',
      async run(stand) {
        const image = await prepare(stand)
        await sign(stand, image, AS_TAG)
        await cosign(stand, 'verify', ...VERIFY_TAG, stand.ref())
        assert.ok((await stand.registry.tags(stand.repository)).includes(tagOf(stand, 'sig')))
      },
    },
    {
      name: 'attest',
      does: 'attest and verify-attestation, as a referrer and under a tag',
      async run(stand) {
        const image = await prepare(stand)
        await attest(stand, image, AS_REFERRER)
        await cosign(stand, 'verify-attestation', ...VERIFY_REFERRER, '--type', 'custom', image)
        await attest(stand, image, AS_TAG)
        await cosign(stand, 'verify-attestation', ...VERIFY_TAG, '--type', 'custom', image)
        assert.ok((await stand.registry.tags(stand.repository)).includes(tagOf(stand, 'att')))
      },
    },
    {
      name: 'tree',
      does: 'tree shows signatures and attestations of both schemes',
      async run(stand) {
        const image = await prepare(stand)
        await sign(stand, image, AS_REFERRER)
        await sign(stand, image, AS_TAG)
        await attest(stand, image, AS_REFERRER)
        await attest(stand, image, AS_TAG)
        const tree = await cosign(stand, 'tree', image)
        assert.match(tree, /Signatures for an image tag/)
        assert.match(tree, /Attestations for an image tag/)
        assert.equal(tree.match(/artifacts via OCI referrer/g)?.length, 2)
      },
    },
    {
      name: 'restart',
      does: 'signatures of both schemes verify after a restart of the server',
      async run(stand) {
        const image = await prepare(stand)
        await sign(stand, image, AS_REFERRER)
        await sign(stand, image, AS_TAG)
        await stand.restartServer()
        await cosign(stand, 'verify', ...VERIFY_REFERRER, image)
        await cosign(stand, 'verify', ...VERIFY_TAG, image)
      },
    },
    {
      name: 'copy-clean',
      does: 'copy carries the signature to another repository; clean takes all of them away',
      async run(stand) {
        const image = await prepare(stand)
        await sign(stand, image, AS_TAG)
        const target = `${stand.repository}-target`
        await cosign(stand, 'copy', image, stand.ref('v1', target))
        await cosign(stand, 'verify', ...VERIFY_TAG, stand.ref('v1', target))
        await sign(stand, image, AS_REFERRER)
        await cosign(stand, 'clean', '-f', image)
        await stand.refused('cosign', ['verify', ...VERIFY_TAG, image])
        await stand.refused('cosign', ['verify', ...VERIFY_REFERRER, image])
        assert.equal(await stand.digest(), stand.images.appDigest)
      },
    },
    {
      name: 'login',
      does: 'login; a wrong password and no login are refused',
      servers: WITH_LOGIN,
      async run(stand) {
        const { username, password } = stand.login
        const image = await prepare(stand)
        const env = { ...ENV, ...(await stand.stranger('fresh')) }
        const args = ['sign', '-y', '--key', 'cosign.key', ...AS_REFERRER, image]
        assert.match(await stand.refused('cosign', args, { env }), /UNAUTHORIZED|401/)
        const login = ['login', stand.host, '-u', username]
        await stand.ok('cosign', [...login, '-p', 'wrong'], { env })
        assert.match(await stand.refused('cosign', args, { env }), /UNAUTHORIZED|401/)
        await stand.ok('cosign', [...login, '--password-stdin'], { env, input: password })
        await stand.ok('cosign', args, { env })
      },
    },
  ],
}
