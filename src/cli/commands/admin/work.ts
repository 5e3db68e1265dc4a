// How commands of `stowage admin` ask a running registry, and how they say what it answered.
import type { Command } from 'commander'
import type { AdminClient, AdminRequest } from '#cli/admin-client.ts'
import { type Session, type Tools, withSession } from '#cli/session.ts'

export type Item = Readonly<Record<string, unknown>>
export type Work = (client: AdminClient, session: Session) => Promise<void>

/** Runs against the registry that --server names. */
export function against(tools: Tools, work: (...args: never[]) => Work) {
  return async (...args: unknown[]) => {
    const command = args.at(-1) as Command
    const { server } = command.optsWithGlobals<{ server: string }>()
    await withSession(command, tools, async (session) => {
      const { AdminClient } = await import('#cli/admin-client.ts')
      const client = await AdminClient.open(session, server)
      await work(...(args.slice(0, -1) as never[]))(client, session)
    })
  }
}

export function listing(path: string, line: (item: Item) => string): Work {
  return async (client, session) => {
    const items = await client.list(path)
    session.print(items, () => items.map(line))
  }
}

/** Sends a change and says what was done. */
export function change(request: AdminRequest, done: string): Work {
  return async (client, session) => {
    const value = await client.send(request)
    session.print(value ?? { done: true }, () => [done])
  }
}

/** The secret alone on standard output, so that a script can take it. */
export function revealing(request: AdminRequest, done: (item: Item) => string): Work {
  return async (client, session) => {
    const item = (await client.send(request)) as Item
    session.print(item, () => [String(item['secret'])])
    session.say(`${done(item)}; the secret is shown this once`)
  }
}

export function example(command: string): string {
  return `\nExample:\n  stowage admin ${command}`
}
