import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { CredentialStore, credentialFiles } from '#client/credential-store.ts'

let folder = ''
let path = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'credentials-'))
  path = join(folder, 'config.json')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const base64 = (text: string) => Buffer.from(text).toString('base64')

function store(files = { read: [path], write: path }): CredentialStore {
  return new CredentialStore({
    files,
    environment: { PATH: `${folder}:/usr/bin:/bin` },
    helperTimeoutMs: 3000,
  })
}

async function contents(value: unknown): Promise<CredentialStore> {
  await writeFile(path, JSON.stringify(value))
  return store()
}

/** A real helper that keeps one file for each server. */
async function installHelper(name = 'test'): Promise<void> {
  const script = `#!/bin/sh
file() { printf '%s/kept-%s' '${folder}' "$(printf %s "$1" | tr -c 'a-zA-Z0-9' _)"; }
case "$1" in
  get) read -r server; f="$(file "$server")"
    if [ -f "$f" ]; then cat "$f"; else echo 'credentials not found in native keychain'; exit 1; fi ;;
  store) input="$(cat)"; server="$(printf %s "$input" | sed 's/.*"ServerURL":"\\([^"]*\\)".*/\\1/')"; printf %s "$input" > "$(file "$server")" ;;
  erase) read -r server; rm -f "$(file "$server")" ;;
esac
`
  const program = join(folder, `docker-credential-${name}`)
  await writeFile(program, script)
  await chmod(program, 0o755)
}

describe('a file', () => {
  const me = { kind: 'password', username: 'me', password: 'pa:ss' }

  test('gives user and password, with colons in the password', async () => {
    const credentials = await contents({ auths: { 'ghcr.io': { auth: base64('me:pa:ss') } } })
    assert.deepEqual(await credentials.find('ghcr.io'), me)
    assert.equal(await credentials.find('quay.io'), undefined)
  })

  for (const key of [
    'https://index.docker.io/v1/',
    'docker.io',
    'index.docker.io',
    'https://registry-1.docker.io/v2/',
  ]) {
    test(`knows Docker Hub as ${key}`, async () => {
      const credentials = await contents({ auths: { [key]: { auth: base64('me:pa:ss') } } })
      assert.deepEqual(await credentials.find('docker.io'), me)
    })
  }

  test('may name a host with a scheme and a path, but not a longer host', async () => {
    const credentials = await contents({
      auths: {
        'https://r.example:5000/v2/': { auth: base64('me:pa:ss') },
        'r.example.evil': { auth: base64('x:y') },
      },
    })
    assert.deepEqual(await credentials.find('r.example:5000'), me)
    assert.equal(await credentials.find('r.example'), undefined)
  })

  test('of podman may have an entry for a part of a registry, and the longest counts', async () => {
    const credentials = await contents({
      auths: {
        'r.example': { auth: base64('all:1') },
        'r.example/team': { auth: base64('team:2') },
        'r.example/team/app': { auth: base64('app:3') },
      },
    })
    const user = async (repository: string) => {
      const found = await credentials.find('r.example', repository)
      return found?.kind === 'password' ? found.username : undefined
    }
    assert.equal(await user('team/app'), 'app')
    assert.equal(await user('team/other'), 'team')
    assert.equal(await user('teams/app'), 'all')
  })

  test('gives identity and registry tokens', async () => {
    const credentials = await contents({
      auths: {
        'a.example': { auth: base64('<token>:x'), identitytoken: 'long-lived' },
        'b.example': { registrytoken: 'as-it-is' },
      },
    })
    assert.deepEqual(await credentials.find('a.example'), { kind: 'identity-token', token: 'long-lived' })
    assert.deepEqual(await credentials.find('b.example'), { kind: 'registry-token', token: 'as-it-is' })
  })

  test('that is absent or empty has nothing, and one that is broken is named without its content', async () => {
    assert.equal(await store().find('ghcr.io'), undefined)
    await writeFile(path, '')
    assert.equal(await store().find('ghcr.io'), undefined)
    await writeFile(path, '{"auths": {"ghcr.io": {"auth": "c2VjcmV0" ')
    await assert.rejects(store().find('ghcr.io'), (error: Error) => {
      assert.match(error.message, new RegExp(`${path} is not a JSON object`))
      assert.doesNotMatch(`${error.message}${error.stack}${error.cause}`, /c2VjcmV0/)
      return true
    })
  })

  test('is asked in the order of the list', async () => {
    const second = join(folder, 'auth.json')
    await writeFile(path, JSON.stringify({ auths: { 'a.example': { auth: base64('first:1') } } }))
    await writeFile(
      second,
      JSON.stringify({
        auths: { 'a.example': { auth: base64('second:1') }, 'b.example': { auth: base64('b:1') } },
      }),
    )
    const both = store({ read: [path, second], write: path })
    assert.deepEqual(await both.find('a.example'), { kind: 'password', username: 'first', password: '1' })
    assert.deepEqual(await both.find('b.example'), { kind: 'password', username: 'b', password: '1' })
  })
})

describe('a login', () => {
  const me = { kind: 'password', username: 'me', password: 'secret' } as const

  test('is kept for its owner alone, beside all that was there', async () => {
    const credentials = await contents({
      auths: { 'quay.io': { auth: 'cXVheQ==' }, 'https://ghcr.io/v2/': { auth: base64('old:old') } },
      currentContext: 'mine',
    })
    await credentials.save('ghcr.io', me)
    assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), {
      auths: { 'quay.io': { auth: 'cXVheQ==' }, 'ghcr.io': { auth: base64('me:secret') } },
      currentContext: 'mine',
    })
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.deepEqual(await credentials.find('ghcr.io'), me)
    assert.deepEqual(await readdir(folder), ['config.json'])
  })

  test('makes the file and its folder, and follows a link to it', async () => {
    const real = join(folder, 'elsewhere', 'real.json')
    const fresh = store({ read: [real], write: real })
    await fresh.save('docker.io', me)
    assert.deepEqual(Object.keys(JSON.parse(await readFile(real, 'utf8')).auths), [
      'https://index.docker.io/v1/',
    ])
    assert.equal((await stat(dirname(real))).mode & 0o777, 0o700)
    await symlink(real, path)
    await store().save('ghcr.io', me)
    assert.equal(Object.keys(JSON.parse(await readFile(real, 'utf8')).auths).length, 2)
  })

  test('is forgotten by a logout, which says whether there was one', async () => {
    const credentials = await contents({ auths: { 'ghcr.io': { auth: base64('me:x') } } })
    assert.equal(await credentials.erase('ghcr.io'), true)
    assert.equal(await credentials.find('ghcr.io'), undefined)
    assert.equal(await credentials.erase('ghcr.io'), false)
  })
})

describe('a helper', () => {
  test('keeps, finds and forgets a login, and the file never has the password', async () => {
    await installHelper()
    const credentials = await contents({ credsStore: 'test' })
    const me = { kind: 'password', username: 'me', password: 'secret' } as const
    assert.equal(await credentials.find('ghcr.io'), undefined)
    await credentials.save('ghcr.io', me)
    assert.deepEqual(await credentials.find('ghcr.io'), me)
    assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), {
      credsStore: 'test',
      auths: { 'ghcr.io': {} },
    })
    assert.equal(await credentials.erase('ghcr.io'), true)
    assert.equal(await credentials.find('ghcr.io'), undefined)
  })

  test('of one registry goes before that of all, and its tokens are told apart', async () => {
    await installHelper('one')
    const credentials = await contents({ credsStore: 'absent', credHelpers: { 'gcr.io': 'one' } })
    await credentials.save('gcr.io', { kind: 'identity-token', token: 'refresh' })
    assert.deepEqual(await credentials.find('gcr.io'), { kind: 'identity-token', token: 'refresh' })
  })

  test('that is not installed is named, with what to do', async () => {
    const credentials = await contents({ credsStore: 'absent' })
    await assert.rejects(credentials.find('gcr.io'), {
      kind: 'invalid',
      message: 'docker-credential-absent cannot be run',
      hint: /install docker-credential-absent/,
    })
  })

  test('that hangs is ended', async () => {
    const program = join(folder, 'docker-credential-slow')
    await writeFile(program, '#!/bin/sh\nexec sleep 60\n')
    await chmod(program, 0o755)
    await writeFile(path, JSON.stringify({ credsStore: 'slow' }))
    const environment = { PATH: `${folder}:/usr/bin:/bin` }
    const hasty = new CredentialStore({
      files: { read: [path], write: path },
      environment,
      helperTimeoutMs: 200,
    })
    await assert.rejects(hasty.find('gcr.io'), { kind: 'timeout' })
  })

  test('whose name is a path is not run', async () => {
    const credentials = await contents({ credsStore: '../../bin/evil' })
    await assert.rejects(credentials.find('gcr.io'), /is no name of a credential helper/)
  })

  test('that fails does not have its output repeated', async () => {
    const program = join(folder, 'docker-credential-leaky')
    await writeFile(program, '#!/bin/sh\necho "the secret is hunter2"\nexit 3\n')
    await chmod(program, 0o755)
    const credentials = await contents({ credsStore: 'leaky' })
    await assert.rejects(credentials.find('gcr.io'), (error: Error) => !error.message.includes('hunter2'))
  })
})

test('the files are where docker and podman have them', async () => {
  await mkdir(join(folder, 'x'))
  assert.deepEqual(credentialFiles({}, '/home/me'), {
    read: ['/home/me/.docker/config.json', '/home/me/.config/containers/auth.json'],
    write: '/home/me/.docker/config.json',
  })
  assert.deepEqual(
    credentialFiles({ XDG_RUNTIME_DIR: '/run/user/1', XDG_CONFIG_HOME: '/cfg' }, '/home/me').read,
    ['/home/me/.docker/config.json', '/run/user/1/containers/auth.json', '/cfg/containers/auth.json'],
  )
  assert.equal(credentialFiles({ DOCKER_CONFIG: '/d' }, '/home/me').write, '/d/config.json')
  assert.deepEqual(credentialFiles({ REGISTRY_AUTH_FILE: '/a.json', DOCKER_CONFIG: '/d' }, '/home/me'), {
    read: ['/a.json'],
    write: '/a.json',
  })
})
