// pull, push, copy, login and logout, as a person types them, against the real server.
import assert from 'node:assert/strict'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setHtpasswdUser } from '#access/passwords/htpasswd.ts'
import { EXIT } from '#cli/output.ts'
import { OCI_MANIFEST } from '#oci/media-types.ts'
import { makeImage, pushImage } from '../http/content.ts'
import { startServer, type TestServer } from '../http/server.ts'
import { run as runAlone, scratchFolder } from './run.ts'

const home = scratchFolder()
after(() => rmSync(home, { recursive: true }))

const run = (args: readonly string[], password = '') => runAlone(args, { env: { HOME: home }, password })

async function manifestAt(server: TestServer, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://${server.host}/v2/${path}`, { headers: { accept: OCI_MANIFEST } })
  return { status: response.status, text: await response.text() }
}

describe('with an open registry', () => {
  let server: TestServer
  const image = makeImage()
  before(async () => {
    server = await startServer()
    await pushImage(server, 'team/app', '1', image)
  })
  after(() => server[Symbol.asyncDispose]())

  test('an image goes from the registry to a folder and back under another name, byte for byte', async () => {
    const folder = join(home, 'app')
    const pulled = await run(['pull', `${server.host}/team/app:1`, folder])
    assert.equal(pulled.code, EXIT.ok, pulled.notes.join('\n'))
    assert.match(pulled.results.join('\n'), new RegExp(image.manifest.digest))
    const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'))
    assert.equal(index.manifests[0].digest, image.manifest.digest)

    const pushed = await run(['--json', 'push', folder, `${server.host}/team/other:2`])
    assert.equal(pushed.code, EXIT.ok, pushed.notes.join('\n'))
    assert.equal(JSON.parse(pushed.results[0] ?? '').digest, image.manifest.digest)
    assert.equal((await manifestAt(server, 'team/other/manifests/2')).text, image.manifest.bytes.toString())
  })

  test('a second pull fetches nothing', async () => {
    const again = await run(['pull', `${server.host}/team/app:1`, join(home, 'app')])
    assert.equal(again.code, EXIT.ok)
    assert.match(again.notes.join('\n'), /nothing to do/)
  })

  test('a copy within one registry mounts the blobs', async () => {
    const copied = await run(['--json', 'copy', `${server.host}/team/app:1`, `${server.host}/mounted/app:1`])
    assert.equal(copied.code, EXIT.ok, copied.notes.join('\n'))
    const report = JSON.parse(copied.results[0] ?? '')
    assert.equal(report.copied.blobs, 0)
    assert.equal(report.mounted.blobs, 2)
  })

  test('what is not there ends with its own code, and says so on standard error', async () => {
    const missing = await run(['pull', `${server.host}/team/none:1`, join(home, 'none')])
    assert.equal(missing.code, EXIT.notFound)
    assert.deepEqual(missing.results, [])
    assert.match(missing.notes.at(-1) ?? '', /team\/none/)
  })

  test('a registry that nobody runs is a matter of the network', async () => {
    const gone = await run(['--json', 'pull', '127.0.0.1:1/app:1', join(home, 'gone')])
    assert.equal(gone.code, EXIT.network)
    assert.equal(JSON.parse(gone.results[0] ?? '').error.kind, 'unreachable')
  })

  test('a command line that is wrong ends with the code for usage', async () => {
    assert.equal((await run(['pull'])).code, EXIT.usage)
    assert.equal((await run(['pull', 'localhost/UPPER:1', join(home, 'x')])).code, EXIT.usage)
  })
})

test('a login is tried before it is kept, used afterwards, and gone after the logout', async () => {
  const users = join(home, 'users')
  await setHtpasswdUser(users, 'alice', 'secret-1')
  await using server = await startServer({
    env: { REGISTRY_AUTH: 'htpasswd', REGISTRY_AUTH_HTPASSWD_PATH: users },
  })
  const login = ['login', '-u', 'alice', '--password-stdin', server.host]
  assert.equal((await run(login, 'wrong')).code, EXIT.denied)
  const pull = ['pull', `${server.host}/app:1`, join(home, 'secured')]
  assert.equal((await run(pull)).code, EXIT.denied)
  const kept = await run(login, 'secret-1')
  assert.equal(kept.code, EXIT.ok, kept.notes.join('\n'))
  assert.equal((await run(pull)).code, EXIT.notFound)
  assert.equal((await run(['logout', server.host])).code, EXIT.ok)
  assert.equal((await run(pull)).code, EXIT.denied)
})
