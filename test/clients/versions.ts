// Which version of each client ran: the pinned one of a Go tool, or what the program says of itself.
import { GO_TOOLS } from '../tools/pinned.ts'
import { runCommand } from './command.ts'
import { isInstalled } from './runner.ts'
import type { Client } from './scenario.ts'

/** Client name to `program version` of all that the table names; a client that is not installed is left out. */
export async function versionsOf(
  clients: readonly Client[],
  env: Readonly<Record<string, string>>,
): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const client of clients) {
    if (!client.programs.every(isInstalled)) continue
    const told: string[] = []
    if (client.version !== undefined) told.push(client.version)
    for (const program of client.shown) told.push(`${program} ${await versionOf(program, env)}`)
    found.set(client.name, told.join(', '))
  }
  return found
}

async function versionOf(program: string, env: Readonly<Record<string, string>>): Promise<string> {
  const pinned = GO_TOOLS.find((tool) => tool.name === program)
  if (pinned) return pinned.version.replace(/^v/, '')
  const { stdout } = await runCommand(program, ['--version'], { env })
  return /\d+\.\d+[\w.+~-]*/.exec(stdout)?.[0] ?? 'of unknown version'
}
