// A real OpenID provider, `oidc-provider`, with its own pages to log in and to consent; its people are changed while it runs.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider, { type Configuration } from 'oidc-provider'

export interface ProviderPerson {
  readonly name: string
  readonly email?: string
  readonly groups: readonly string[]
}

export interface TestProvider extends AsyncDisposable {
  readonly issuer: string
  /** By subject. Whoever is deleted is gone at the next question. */
  readonly people: Map<string, ProviderPerson>
  /** Answers nothing but 500 while it is true. */
  isDown: boolean
}

export const CLIENT_ID = 'stowage'
export const CLIENT_SECRET = 'a secret of the provider'

export async function startProvider(
  redirectUris: readonly string[],
  options: { readonly inIdToken?: boolean; readonly devices?: boolean } = {},
): Promise<TestProvider> {
  const people = new Map<string, ProviderPerson>()
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const configuration: Configuration = {
    clients: [
      {
        client_id: CLIENT_ID,
        client_secret: CLIENT_SECRET,
        redirect_uris: [...redirectUris],
        grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      },
    ],
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username'],
      email: ['email'],
      groups: ['groups'],
    },
    conformIdTokenClaims: !options.inIdToken,
    scopes: ['openid', 'offline_access'],
    features: { deviceFlow: { enabled: options.devices ?? true }, devInteractions: { enabled: true } },
    cookies: { keys: ['only for tests'] },
    ttl: {
      AccessToken: 600,
      Grant: 3600,
      IdToken: 600,
      Interaction: 600,
      RefreshToken: 3600,
      Session: 3600,
      DeviceCode: 600,
    },
    async findAccount(_context, subject) {
      const person = people.get(subject)
      if (!person) return undefined
      const { name, email, groups } = person
      return {
        accountId: subject,
        claims: async () => ({
          sub: subject,
          name: name.toUpperCase(),
          preferred_username: name,
          ...(email !== undefined && { email }),
          groups: [...groups],
        }),
      }
    },
  }
  const provider = new Provider(issuer, configuration)
  const handle = provider.callback()
  const test: TestProvider = {
    issuer,
    people,
    isDown: false,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  server.on('request', (request, response) => {
    if (test.isDown) response.writeHead(500).end()
    else void handle(request, response)
  })
  return test
}
