// The token endpoint and whatever a client may send it.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { decodeJwt } from 'jose'
import type { Grant } from '#identity/scope.ts'
import { type Answer, send } from './client.ts'
import { type Managed, startManaged } from './people.ts'

const RUNS = 200
let managed: Managed

before(async () => {
  managed = await startManaged()
  await managed.users('pat')
  await managed.project('secret', { pat: 'guest' })
  await managed.manage('POST', '/projects', { name: 'open', visibility: 'public' })
})
after(() => managed[Symbol.asyncDispose]())

/** Names and actions that mean something here, between those that do not. */
const scope = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('repository', 'repository(plugin)', 'registry', 'Repository', ''),
      fc.oneof(
        fc.constantFrom(
          'open/app',
          'secret/app',
          'catalog',
          'open/../secret/app',
          'secret%2Fapp',
          'open/app:5000',
        ),
        fc.string({ unit: 'grapheme', maxLength: 20 }),
      ),
      fc.constantFrom('pull', 'push', 'delete', '*', 'pull,push', 'pull,*,,', 'PULL', ''),
    )
    .map((parts) => parts.join(':')),
  fc.string({ unit: 'binary', maxLength: 30 }),
)
const scopes = fc.array(scope, { maxLength: 5 })
const parameters = fc.array(
  fc.tuple(
    fc.constantFrom(
      'service',
      'account',
      'client_id',
      'offline_token',
      'grant_type',
      'access_type',
      'username',
      'x',
    ),
    fc.oneof(
      fc.constantFrom('true', 'password', 'refresh_token', 'offline', ''),
      fc.string({ unit: 'grapheme', maxLength: 30 }),
    ),
  ),
  { maxLength: 6 },
)

function encoded(wanted: readonly string[], rest: readonly (readonly [string, string])[]): string {
  const form = new URLSearchParams()
  for (const one of wanted) form.append('scope', one)
  for (const [key, value] of rest) form.append(key, value)
  return form.toString()
}

/** Whatever was asked: never a fault of ours, and JSON that no cache keeps. */
function expectOrderly({ status, headers, body }: Answer): void {
  assert.ok(status < 500, `${status}: ${body}`)
  assert.match(String(headers['content-type']), /json/)
  assert.equal(headers['cache-control'], 'no-store')
  JSON.parse(body.toString())
}

function accessOf(body: Buffer): readonly Grant[] {
  const { token, access_token } = JSON.parse(body.toString()) as { token?: string; access_token?: string }
  return (decodeJwt(token ?? access_token ?? '')['access'] ?? []) as readonly Grant[]
}

/** All that somebody may do who has not logged in. */
function expectAnonymous(grants: readonly Grant[]): void {
  for (const { type, name, actions } of grants) {
    if (type === 'registry') continue
    assert.match(name, /^open\//)
    assert.deepEqual(actions, ['pull'])
  }
}

test('GET: anything is answered, and nobody gets what only others may do', async () => {
  await fc.assert(
    fc.asyncProperty(scopes, parameters, async (wanted, rest) => {
      const answer = await send(managed.server, 'GET', `/token?${encoded(wanted, rest)}`)
      expectOrderly(answer)
      if (answer.status === 200) expectAnonymous(accessOf(answer.body))
    }),
    { numRuns: RUNS },
  )
  const { body } = await send(managed.server, 'GET', '/token?scope=repository:open/app:pull,push')
  assert.deepEqual(accessOf(body), [{ type: 'repository', name: 'open/app', actions: ['pull'] }])
})

test('GET: a guest gets pull at most, where he may', async () => {
  await fc.assert(
    fc.asyncProperty(scopes, async (wanted) => {
      const answer = await send(managed.as('pat'), 'GET', `/token?${encoded(wanted, [])}`)
      expectOrderly(answer)
      assert.equal(answer.status, 200)
      for (const { type, name, actions } of accessOf(answer.body)) {
        if (type === 'registry') continue
        assert.match(name, /^(?:open|secret)\//)
        assert.deepEqual(actions, ['pull'])
      }
    }),
    { numRuns: RUNS },
  )
  const asked = '/token?scope=repository:secret/app:pull,push,delete'
  const { body } = await send(managed.as('pat'), 'GET', asked)
  assert.deepEqual(accessOf(body), [{ type: 'repository', name: 'secret/app', actions: ['pull'] }])
})

test('POST: a form of anything is refused in order, and gives no token without a password', async () => {
  const form = fc.tuple(scopes, parameters).map(([wanted, rest]) => encoded(wanted, rest))
  const body = fc.oneof(form, fc.string({ unit: 'binary', maxLength: 200 }))
  const type = fc.constantFrom('application/x-www-form-urlencoded', 'application/json', 'text/plain', 'x')
  await fc.assert(
    fc.asyncProperty(type, body, async (contentType, text) => {
      const answer = await send(managed.server, 'POST', '/token', {
        headers: { 'Content-Type': contentType },
        body: text,
      })
      assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status}: ${answer.body}`)
      JSON.parse(answer.body.toString())
    }),
    { numRuns: RUNS },
  )
})
