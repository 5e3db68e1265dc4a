// Credentials: whom they are shown to, whom never, and what happens when they end in the middle.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { type ClientError, isClientError } from '#client/client-error.ts'
import type { Credentials } from '#client/credentials.ts'
import { RegistryClient, type RegistryClientOptions } from '#client/registry-client.ts'
import { RegistryPlace } from '#client/registry-place.ts'
import { systemWaiting } from '#client/retry.ts'
import { digestOf } from '#oci/digest.ts'
import { parseRepositoryName } from '#oci/reference.ts'
import { bodyOf, breakAfter, HostileRegistry, refuse, reply } from './hostile-registry.ts'
import { LAYER } from './made-images.ts'

const RETRY = { attemptsMax: 3, delayMinMs: 1, delayMaxMs: 4, retryAfterMaxMs: 60_000 }
const PASSWORD = 'correct-horse-battery'
const ME: Credentials = { kind: 'password', username: 'me', password: PASSWORD }
const BASIC = `Basic ${Buffer.from(`me:${PASSWORD}`).toString('base64')}`

let hostile: HostileRegistry
let other: HostileRegistry
let clients: RegistryClient[] = []

beforeEach(async () => {
  hostile = await HostileRegistry.start()
  other = await HostileRegistry.start()
  clients = []
})

afterEach(async () => {
  for (const client of clients) await client.close()
  await hostile.stop()
  await other.stop()
})

function placeWith(options: Partial<RegistryClientOptions> = {}): RegistryPlace {
  const client = new RegistryClient({
    host: hostile.host,
    plainHttp: true,
    retry: RETRY,
    credentials: ME,
    ...options,
  })
  clients.push(client)
  return new RegistryPlace({ client, repository: parseRepositoryName('app') })
}

function putLayer(size = 1000) {
  const bytes = randomBytes(size)
  const descriptor = { mediaType: LAYER, digest: digestOf(bytes), size }
  hostile.blobs.set(descriptor.digest, bytes)
  return { bytes, descriptor }
}

async function read(
  place: RegistryPlace,
  descriptor: ReturnType<typeof putLayer>['descriptor'],
): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  await place.blob(descriptor)((chunk) => {
    chunks.push(chunk)
    return undefined
  })
  return Buffer.concat(chunks)
}

async function failure(work: Promise<unknown>): Promise<ClientError> {
  const error = await work.then(
    () => assert.fail('it succeeded'),
    (reason: unknown) => reason,
  )
  assert.ok(isClientError(error), String(error))
  return error
}

/** Asks for a bearer token of the service at `realm`, and takes the tokens that `accepts` takes. */
function guard(
  realm: string,
  accepts: (token: string, request: IncomingMessage) => boolean,
  scope = 'repository:app:pull',
) {
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    if (!request.url?.startsWith('/v2/')) return false
    const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1]
    if (token !== undefined && accepts(token, request)) return false
    const challenge = `Bearer realm="${realm}",service="the service",scope="${scope}"`
    response.setHeader('www-authenticate', `Negotiate, ${challenge}`)
    refuse(response, 401, 'UNAUTHORIZED')
    return true
  }
}

describe('basic', () => {
  test('is answered when it is asked for, and from then on sent at once', async () => {
    const { bytes, descriptor } = putLayer()
    hostile.mischief = (request, response) => {
      if (request.headers.authorization === BASIC) return false
      response.setHeader('www-authenticate', 'Basic realm="a, realm with Bearer in it"')
      refuse(response, 401, 'UNAUTHORIZED')
      return true
    }
    const place = placeWith()
    assert.deepEqual(await read(place, descriptor), bytes)
    assert.deepEqual(await read(place, descriptor), bytes)
    assert.equal(hostile.asked.length, 3)
  })

  test('that is refused is not tried again, and the error names the request', async () => {
    const { descriptor } = putLayer()
    hostile.mischief = (_, response) => {
      response.setHeader('www-authenticate', 'Basic realm="here"')
      refuse(response, 401, 'UNAUTHORIZED', `wrong password ${PASSWORD} in ${BASIC}\u001b[2J`)
      return true
    }
    const error = await failure(read(placeWith(), descriptor))
    assert.equal(error.kind, 'unauthorized')
    assert.equal(hostile.asked.length, 2)
    assert.match(
      error.message,
      /^GET http:\/\/127\.0\.0\.1:\d+\/v2\/app\/blobs\/sha256:.*: refused with 401 UNAUTHORIZED: wrong password \*\*\*/,
    )
    assert.doesNotMatch(JSON.stringify(error) + error.message + error.stack, /correct-horse|bWU6Y29y/)
    assert.ok(!error.message.includes('\u001b'))
  })
})

describe('a token', () => {
  test('is fetched with the password by GET, kept, and used for what it covers', async () => {
    const { bytes, descriptor } = putLayer()
    hostile.mischief = (request, response) => {
      if (request.url?.startsWith('/token')) {
        assert.equal(request.headers.authorization, BASIC)
        reply(response, 200, {}, JSON.stringify({ token: 'good', expires_in: 300 }))
        return true
      }
      return guard(`${hostile.url}/token`, (token) => token === 'good')(request, response)
    }
    const place = placeWith()
    for (let time = 0; time < 3; time++) assert.deepEqual(await read(place, descriptor), bytes)
    const asked = hostile.asks('GET', /^\/token/)
    assert.equal(asked.length, 1)
    const query = new URL(asked[0]?.path ?? '', hostile.url).searchParams
    assert.equal(query.get('service'), 'the service')
    assert.deepEqual(query.getAll('scope'), ['repository:app:pull'])
    assert.equal(query.get('account'), 'me')
  })

  test('is anonymous without credentials', async () => {
    const { bytes, descriptor } = putLayer()
    hostile.mischief = (request, response) => {
      if (request.url?.startsWith('/token')) {
        reply(response, 200, {}, '{"access_token":"for-everybody"}')
        return true
      }
      return guard(`${hostile.url}/token`, (token) => token === 'for-everybody')(request, response)
    }
    assert.deepEqual(await read(placeWith({ credentials: undefined }), descriptor), bytes)
    assert.deepEqual(
      hostile.asks('GET', /^\/token/).map(({ headers }) => headers.authorization),
      [undefined],
    )
  })

  test('comes by POST for an identity token', async () => {
    const { bytes, descriptor } = putLayer()
    let form = new URLSearchParams()
    hostile.mischief = async (request, response) => {
      if (request.url?.startsWith('/token')) {
        assert.equal(request.method, 'POST')
        form = new URLSearchParams((await bodyOf(request)).toString())
        reply(response, 200, {}, '{"access_token":"fresh","expires_in":60,"scope":"repository:app:pull"}')
        return true
      }
      return guard(`${hostile.url}/token`, (token) => token === 'fresh')(request, response)
    }
    const place = placeWith({ credentials: { kind: 'identity-token', token: 'long-lived' } })
    assert.deepEqual(await read(place, descriptor), bytes)
    assert.equal(form.get('grant_type'), 'refresh_token')
    assert.equal(form.get('refresh_token'), 'long-lived')
    assert.equal(form.get('scope'), 'repository:app:pull')
  })

  test('comes by POST with the password where the service does not know GET', async () => {
    const { bytes, descriptor } = putLayer()
    hostile.mischief = async (request, response) => {
      if (!request.url?.startsWith('/token')) {
        return guard(`${hostile.url}/token`, (token) => token === 'posted')(request, response)
      }
      if (request.method === 'GET') refuse(response, 405, 'UNSUPPORTED')
      else {
        const form = new URLSearchParams((await bodyOf(request)).toString())
        const right = form.get('username') === 'me' && form.get('password') === PASSWORD
        reply(response, right ? 200 : 401, {}, '{"access_token":"posted"}')
      }
      return true
    }
    assert.deepEqual(await read(placeWith(), descriptor), bytes)
  })

  test('that ends in the middle of a transfer is renewed, and the transfer goes on where it was', async () => {
    const { bytes, descriptor } = putLayer(900_000)
    let issued = 0
    let broke = false
    hostile.mischief = (request, response) => {
      if (request.url?.startsWith('/token')) {
        issued += 1
        reply(response, 200, {}, JSON.stringify({ token: `token-${issued}`, expires_in: 300 }))
        return true
      }
      const valid = broke ? 'token-2' : 'token-1'
      if (guard(`${hostile.url}/token`, (token) => token === valid)(request, response)) return true
      if (broke) return false
      broke = true
      breakAfter(response, bytes.byteLength, bytes.subarray(0, 400_000))
      return true
    }
    assert.deepEqual(await read(placeWith(), descriptor), bytes)
    assert.equal(issued, 2)
    const last = hostile.asked.at(-1)
    assert.match(last?.headers.range ?? '', /^bytes=\d+-$/)
    assert.equal(last?.headers.authorization, 'Bearer token-2')
  })

  test('is renewed before it expires, by our own clock', async () => {
    const { descriptor } = putLayer()
    let now = 1_000_000
    let issued = 0
    hostile.mischief = (request, response) => {
      if (request.url?.startsWith('/token')) {
        issued += 1
        reply(response, 200, {}, JSON.stringify({ token: `t${issued}`, expires_in: 100 }))
        return true
      }
      return guard(`${hostile.url}/token`, () => true)(request, response)
    }
    const place = placeWith({ waiting: { ...systemWaiting, now: () => now } })
    await read(place, descriptor)
    now += 70_000
    await read(place, descriptor)
    assert.equal(issued, 1)
    now += 10_000
    await read(place, descriptor)
    assert.equal(issued, 2)
  })

  test('is fetched once, however many requests wait for it', async () => {
    const { descriptor } = putLayer()
    hostile.mischief = (request, response) => {
      if (request.url?.startsWith('/token')) {
        setTimeout(() => reply(response, 200, {}, '{"token":"shared"}'), 50)
        return true
      }
      return guard(`${hostile.url}/token`, (token) => token === 'shared')(request, response)
    }
    const place = placeWith()
    await Promise.all(Array.from({ length: 6 }, () => read(place, descriptor)))
    assert.equal(hostile.asks('GET', /^\/token/).length, 1)
  })

  test('that is never accepted does not make the client ask for ever', async () => {
    const { descriptor } = putLayer()
    hostile.mischief = (request, response) => {
      if (request.url?.startsWith('/token')) {
        reply(response, 200, {}, '{"token":"useless-token"}')
        return true
      }
      return guard(`${hostile.url}/token`, () => false)(request, response)
    }
    const error = await failure(read(placeWith(), descriptor))
    assert.equal(error.kind, 'unauthorized')
    assert.ok(hostile.asked.length <= 5, `${hostile.asked.length} requests`)
    assert.doesNotMatch(JSON.stringify(error) + error.message, /useless-token/)
  })
})

describe('distribution CVE-2026-33540: a realm on another host', () => {
  const elsewhere = () => `http://localhost.localdomain.invalid:${other.host.split(':')[1]}/token`

  test('is not sent the password in plain HTTP, nor when it does not belong to the registry', async () => {
    const { descriptor } = putLayer()
    const seen: { url: URL }[] = []
    hostile.mischief = guard(elsewhere(), () => false)
    const place = placeWith({
      transport: {
        checkUrl: (url) => {
          seen.push({ url })
          if (url.hostname !== '127.0.0.1') throw new Error('stopped by the test')
        },
      },
    })
    await assert.rejects(read(place, descriptor), /stopped by the test/)
    const realm = seen.map(({ url }) => url).find((url) => url.hostname !== '127.0.0.1')
    assert.ok(realm)
    // The account is only named together with the password.
    assert.equal(realm.searchParams.get('account'), null)
  })

  test('gets an anonymous request, and the error names what must be allowed', async () => {
    const { descriptor } = putLayer()
    other.mischief = (request, response) => {
      if (request.headers.authorization === undefined) refuse(response, 401, 'UNAUTHORIZED')
      return request.headers.authorization === undefined
    }
    // The resolver stands in for a name that leads here: to the client it is another host all the same.
    const lookup = (
      _name: string,
      options: { all?: boolean },
      done: (error: null, address: string | { address: string; family: number }[], family?: number) => void,
    ) => (options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4))
    hostile.mischief = guard(elsewhere(), () => false)
    const error = await failure(read(placeWith({ transport: { lookup: lookup as never } }), descriptor))
    assert.equal(error.kind, 'unsafe')
    assert.match(error.hint, /trusted realm/)
    assert.equal(other.asked.length, 1)
    assert.equal(other.asked[0]?.headers.authorization, undefined)
    assert.doesNotMatch(other.asked[0]?.path ?? '', /account/)
  })
})

describe('a redirect', () => {
  test('to another host carries no credentials, and the content is taken from there', async () => {
    const { bytes, descriptor } = putLayer()
    other.blobs.set(descriptor.digest, bytes)
    hostile.mischief = (request, response) => {
      if (request.headers.authorization !== BASIC) {
        response.setHeader('www-authenticate', 'Basic realm="here"')
        refuse(response, 401, 'UNAUTHORIZED')
      } else reply(response, 307, { location: `${other.url}${request.url}?X-Amz-Signature=secret` })
      return true
    }
    assert.deepEqual(await read(placeWith(), descriptor), bytes)
    assert.deepEqual(
      other.asked.map(({ headers }) => headers.authorization),
      [undefined],
    )
  })

  test('that leads away and back does not bring the credentials with it', async () => {
    const { bytes, descriptor } = putLayer()
    hostile.mischief = (request, response) => {
      if (request.url?.startsWith('/back')) {
        reply(response, 200, {}, bytes)
        return true
      }
      if (request.headers.authorization !== BASIC) {
        response.setHeader('www-authenticate', 'Basic realm="here"')
        refuse(response, 401, 'UNAUTHORIZED')
      } else reply(response, 307, { location: `${other.url}/away` })
      return true
    }
    other.mischief = (_, response) => {
      reply(response, 307, { location: `${hostile.url}/back` })
      return true
    }
    assert.deepEqual(await read(placeWith(), descriptor), bytes)
    assert.deepEqual(
      hostile.asks('GET', /^\/back/).map(({ headers }) => headers.authorization),
      [undefined],
    )
  })

  test('within the registry keeps the credentials', async () => {
    const { bytes, descriptor } = putLayer()
    hostile.mischief = (request, response) => {
      if (request.headers.authorization !== BASIC) {
        response.setHeader('www-authenticate', 'Basic realm="here"')
        refuse(response, 401, 'UNAUTHORIZED')
        return true
      }
      if (request.url?.startsWith('/storage')) reply(response, 200, {}, bytes)
      else reply(response, 302, { location: '/storage' })
      return true
    }
    assert.deepEqual(await read(placeWith(), descriptor), bytes)
  })

  test('in a circle ends in an error after a bounded number of requests', async () => {
    const { descriptor } = putLayer()
    hostile.mischief = (request, response) => {
      reply(response, 302, { location: `${request.url}x` })
      return true
    }
    const error = await failure(read(placeWith(), descriptor))
    assert.equal(error.kind, 'unsafe')
    assert.match(error.message, /redirected more than 10 times/)
    assert.equal(hostile.asked.length, 11)
  })

  test('to something that is not the web is refused', async () => {
    const { descriptor } = putLayer()
    hostile.mischief = (_, response) => {
      reply(response, 302, { location: 'file:///etc/passwd' })
      return true
    }
    assert.equal((await failure(read(placeWith(), descriptor))).kind, 'unsafe')
  })

  test('a 401 of the other host is an error, and is not answered with the password', async () => {
    const { descriptor } = putLayer()
    hostile.mischief = (request, response) => {
      reply(response, 307, { location: `${other.url}${request.url}` })
      return true
    }
    other.mischief = (_, response) => {
      response.setHeader('www-authenticate', 'Basic realm="give it to me"')
      refuse(response, 401, 'UNAUTHORIZED')
      return true
    }
    const error = await failure(read(placeWith(), descriptor))
    assert.equal(error.kind, 'unauthorized')
    assert.match(error.message, new RegExp(`refused with 401 by ${other.host}`))
    assert.deepEqual(
      other.asked.map(({ headers }) => headers.authorization),
      [undefined],
    )
  })
})
