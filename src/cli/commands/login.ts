import type { Command } from 'commander'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Address } from '#cli/registries.ts'
import { type Session, type Tools, withSession } from '#cli/session.ts'

interface LoginOptions {
  readonly username?: string
  readonly passwordStdin?: boolean
  readonly oidc?: boolean
  readonly provider?: string
}

export function addLoginCommand(program: Command, tools: Tools): void {
  program
    .command('login')
    .description('log in to a registry, where docker and podman find it too')
    .argument('[registry]', 'host[:port]', 'docker.io')
    .option('-u, --username <name>', 'the user; asked for on a terminal')
    .option('--password-stdin', 'read the password from standard input')
    .option('--oidc', 'confirm a code in any browser, at the OpenID provider of the registry')
    .option('--provider <name>', 'which provider, for --oidc; the first one by default')
    .addHelpText(
      'after',
      `
The password is tried before it is kept: in the helper that the credentials file names, else in the file itself.

Examples:
  stowage login registry.example.com
  stowage login --oidc registry.example.com
  echo "$TOKEN" | stowage login -u robot --password-stdin registry.example.com`,
    )
    .action(async (registry: string, options: LoginOptions, command: Command) => {
      await withSession(command, tools, (session) => login(session, registry, options))
    })
}

async function login(session: Session, registry: string, options: LoginOptions): Promise<void> {
  const { actions, registries, signal } = session
  const { parseRegistryAddress } = await import('#cli/registry-address.ts')
  const { isClientError } = await import('#client/client-error.ts')
  const address = parseRegistryAddress(registry)
  if (options.oidc) return loginByProvider(session, address, options)
  const username = options.username ?? (options.passwordStdin ? '' : await actions.readLine('User name: '))
  if (username === '')
    throw new CommandFailure(EXIT.usage, 'a user name is needed', { hint: 'name it with --username' })
  const password = await actions.readPassword(`Password of ${username}: `)
  if (password === '') throw new CommandFailure(EXIT.usage, 'the password is empty')
  const credentials = { kind: 'password', username, password } as const
  const client = await registries.clientAs(address, credentials)
  await client.ping(signal).catch((cause) => {
    if (!isClientError(cause, 'unauthorized', 'denied')) throw cause
    throw new CommandFailure(EXIT.denied, `${address.host} does not take this user name and password`, {
      cause,
    })
  })
  await registries.credentials.save(address.host, credentials)
  session.print({ registry: address.host, username }, () => [`logged in to ${address.host} as ${username}`])
}

/** What is kept is a key that the registry made, under the name that it gives. */
async function loginByProvider(session: Session, address: Address, options: LoginOptions): Promise<void> {
  const { registries } = session
  if (options.username !== undefined || options.passwordStdin)
    throw new CommandFailure(EXIT.usage, 'with --oidc there is no user name and no password to give')
  const { deviceLogin } = await import('#cli/device-login.ts')
  const client = await registries.clientAs(address, undefined)
  const { name: username, secret: password } = await deviceLogin(client, options.provider, session)
  await registries.credentials.save(address.host, { kind: 'password', username, password })
  session.print({ registry: address.host, username }, () => [`logged in to ${address.host} as ${username}`])
}
