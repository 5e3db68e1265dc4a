// `stowage login --oidc` with a real provider, whose pages a person walks through meanwhile.
import assert from 'node:assert/strict'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { EXIT } from '#cli/output.ts'
import { Browser } from '../http/browser.ts'
import { CLIENT_ID, CLIENT_SECRET, startProvider, type TestProvider } from '../http/oidc-provider.ts'
import { startServer, type TestServer } from '../http/server.ts'
import { run, scratchFolder } from './run.ts'

const folder = scratchFolder()
const authfile = join(folder, 'auth.json')
let provider: TestProvider
let server: TestServer

before(async () => {
  provider = await startProvider(['http://127.0.0.1:1/auth/oidc/callback'])
  provider.people.set('s-1', { name: 'ann', groups: [] })
  const oidc = {
    ...{ name: 'corp', issuer: provider.issuer, clientid: CLIENT_ID, clientsecret: CLIENT_SECRET },
    scopes: ['openid', 'profile', 'groups', 'offline_access'],
  }
  server = await startServer({
    adminPassword: 'correct horse battery',
    env: {
      REGISTRY_AUTH: 'stowage',
      REGISTRY_AUTH_STOWAGE_OIDC: JSON.stringify([oidc]),
      REGISTRY_OUTBOUND_ALLOW: '[127.0.0.1]',
    },
  })
})
after(async () => {
  await server[Symbol.asyncDispose]()
  await provider[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

/** What the person does: the code, the name, the consent. */
async function confirm(address: string): Promise<void> {
  const browser = new Browser()
  const code = await browser.submit(await browser.open(address))
  const login = await browser.submit(code)
  await browser.submit(await browser.submit(login, { login: 's-1', password: 'any' }))
}

test('a code is shown, confirmed in a browser, and a key is kept', async () => {
  let confirmed: Promise<void> | undefined
  const { code, results, notes } = await run(['--authfile', authfile, 'login', '--oidc', server.host], {
    onNote: (line) => {
      const address = /^Open (http\S+)/.exec(line)?.[1]
      if (address !== undefined) confirmed = confirm(address)
    },
  })
  assert.equal(code, EXIT.ok, notes.join('\n'))
  await confirmed
  assert.deepEqual(results, [`logged in to ${server.host} as ann`])
  const kept = JSON.parse(await readFile(authfile, 'utf8')) as { auths: Record<string, { auth: string }> }
  const auth = Buffer.from(kept.auths[server.host]?.auth ?? '', 'base64').toString()
  assert.match(auth, /^ann:stw_k_/)
  assert.doesNotMatch(notes.join('\n'), /stw_k_/)
  const keys = await run(['--authfile', authfile, 'admin', '--server', server.host, 'keys', 'list'])
  assert.match(keys.results.join('\n'), /^login-\d{4}-\d\d-\d\d-[0-9a-f]{8} {2}all {2}until /)
})

test('what cannot be is said', async () => {
  const unknown = await run(['login', '--oidc', '--provider', 'other', server.host])
  assert.equal(unknown.code, EXIT.denied)
  assert.match(unknown.notes.join('\n'), /no such provider/)
  assert.equal((await run(['login', '--oidc', '-u', 'ann', server.host])).code, EXIT.usage)
  provider.isDown = true
  const down = await run(['login', '--oidc', server.host])
  assert.equal(down.code, EXIT.denied)
  assert.match(down.notes.join('\n'), /cannot be reached|try again/)
})
