// A token server as operators run one beside a registry: users with passwords and rights, tokens by GET and Basic.
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type JWTHeaderParameters, SignJWT } from 'jose'
import { parseBasic } from '#access/passwords/basic-credentials.ts'
import { type Grant, parseScopes } from '#identity/scope.ts'

export interface TokenUser {
  readonly password: string
  /** Scopes: `repository:team/app:pull,push`. */
  readonly rights: string
}

export interface Signer {
  readonly key: KeyObject
  readonly header: JWTHeaderParameters
}

export interface TokenServer extends AsyncDisposable {
  readonly realm: string
  readonly publicKey: KeyObject
  /** What clients asked for, as they wrote it. */
  readonly asked: string[]
  /** A token as the server would make it, with other claims where they are given. */
  token(scope: string, claims?: Readonly<Record<string, unknown>>, signer?: Signer): Promise<string>
}

export const SERVICE = 'registry.test'
export const ISSUER = 'token-server.test'
export const KEY_ID = 'the-key'

export async function startTokenServer(users: Readonly<Record<string, TokenUser>>): Promise<TokenServer> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const own: Signer = { key: privateKey, header: { typ: 'JWT', alg: 'ES256', kid: KEY_ID } }
  const asked: string[] = []
  const server = createServer((request, response) => {
    void (async () => {
      const { searchParams } = new URL(request.url ?? '', 'http://localhost')
      const scope = searchParams.getAll('scope').join(' ')
      asked.push(scope)
      const credentials = parseBasic(request.headers.authorization ?? '')
      const user = credentials && users[credentials.user]
      if (request.headers.authorization !== undefined && user?.password !== credentials?.password) {
        response.writeHead(401, { 'Content-Type': 'application/json' }).end('{"details":"incorrect"}')
        return
      }
      const access = within(parseScopes(scope), parseScopes(user?.rights ?? ''))
      const token = await tokenOf(own, { sub: credentials?.user ?? '', access })
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ token }))
    })()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    realm: `http://127.0.0.1:${port}/token`,
    publicKey,
    asked,
    token: (scope, claims = {}, signer = own) =>
      tokenOf(signer, { sub: 'ann', access: parseScopes(scope), ...claims }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** What of the wishes the rights allow. */
function within(wanted: readonly Grant[], rights: readonly Grant[]): unknown[] {
  return wanted.flatMap(({ type, name, actions }) => {
    const right = rights.find((one) => one.type === type && one.name === name)
    const allowed = actions.filter((action) => right?.actions.some((given) => given === action))
    return allowed.length > 0 ? [{ type, name, actions: allowed }] : []
  })
}

function tokenOf({ key, header }: Signer, claims: Readonly<Record<string, unknown>>): Promise<string> {
  const now = Math.floor(Date.now() / 1_000)
  const times = { iss: ISSUER, aud: SERVICE, iat: now, nbf: now, exp: now + 300 }
  return new SignJWT({ ...times, ...claims }).setProtectedHeader(header).sign(key)
}
