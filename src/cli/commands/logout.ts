import type { Command } from 'commander'
import { type Tools, withSession } from '#cli/session.ts'

export function addLogoutCommand(program: Command, tools: Tools): void {
  program
    .command('logout')
    .description('forget the login of a registry')
    .argument('[registry]', 'host[:port]', 'docker.io')
    .addHelpText('after', '\nExample:\n  stowage logout registry.example.com')
    .action(async (registry: string, _: object, command: Command) => {
      await withSession(command, tools, async (session) => {
        const { parseRegistryAddress } = await import('#cli/registry-address.ts')
        const { host } = parseRegistryAddress(registry)
        const wasLoggedIn = await session.registries.credentials.erase(host)
        const text = wasLoggedIn ? `logged out of ${host}` : `nobody was logged in to ${host}`
        session.print({ registry: host, wasLoggedIn }, () => [text])
      })
    })
}
