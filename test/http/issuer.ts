// An issuer of identity tokens as CI systems have one: discovery, keys that are rotated, tokens with any claims.
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SignJWT } from 'jose'

export interface TestIssuer extends AsyncDisposable {
  readonly issuer: string
  /** Requests for the keys. */
  asked: number
  isDown: boolean
  /** Members that the metadata has in the place of its own. */
  metadata: Readonly<Record<string, unknown>>
  /** A new key, in the place of the one before. */
  rotate(): void
  token(
    claims?: Readonly<Record<string, unknown>>,
    header?: Readonly<Record<string, unknown>>,
  ): Promise<string>
}

export const AUDIENCE = 'registry.test'
const LIFE_SEC = 300

export async function startIssuer(): Promise<TestIssuer> {
  let generation = 0
  let pair = newPair()
  function newPair(): { publicKey: KeyObject; privateKey: KeyObject; kid: string } {
    generation++
    return { ...generateKeyPairSync('rsa', { modulusLength: 2048 }), kid: `key-${generation}` }
  }
  const server = createServer((request, response) => {
    if (test.isDown) return response.writeHead(503).end()
    response.setHeader('Content-Type', 'application/json')
    if (request.url === '/.well-known/openid-configuration') {
      response.end(JSON.stringify({ issuer: test.issuer, jwks_uri: `${test.issuer}/keys`, ...test.metadata }))
      return response
    }
    if (request.url !== '/keys') return response.writeHead(404).end()
    test.asked++
    const jwk = { ...pair.publicKey.export({ format: 'jwk' }), kid: pair.kid, use: 'sig', alg: 'RS256' }
    return response.end(JSON.stringify({ keys: [jwk] }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const test: TestIssuer = {
    issuer: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: 0,
    isDown: false,
    metadata: {},
    rotate() {
      pair = newPair()
    },
    async token(claims = {}, header = {}) {
      const now = Math.floor(Date.now() / 1_000)
      return new SignJWT({
        aud: AUDIENCE,
        iat: now,
        nbf: now,
        exp: now + LIFE_SEC,
        iss: test.issuer,
        ...claims,
      })
        .setProtectedHeader({ alg: 'RS256', kid: pair.kid, typ: 'JWT', ...header })
        .sign(pair.privateKey)
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return test
}
