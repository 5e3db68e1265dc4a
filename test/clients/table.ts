// Writes docs/clients.md: what was run, with which versions, when, and how every cell ended.
import type { Cell } from './runner.ts'
import { type Client, SERVERS, type ServerKind } from './scenario.ts'

const MARKS = { ok: 'works', FAIL: '**fails**', skip: 'not run' } as const

export interface Run {
  /** YYYY-MM-DD. */
  readonly date: string
  /** The registry and its version. */
  readonly server: string
  readonly machine: string
  readonly clients: readonly Client[]
  /** Client name to version. */
  readonly versions: ReadonlyMap<string, string>
  readonly cells: readonly Cell[]
}

export function clientsPage(run: Run): string {
  const passed = run.cells.filter((cell) => cell.ending === 'ok').length
  const lines = [
    '# Clients',
    '',
    'What people already use, against this registry: every cell is the real program, run against a server on a',
    'free port: plain, with TLS and htpasswd, and with TLS, users and tokens, where it logs in as a robot. The',
    'certificate is self-signed, and every client verifies it but dockerd, which takes any registry on localhost for',
    'insecure.',
    'A failing cell fails the build.',
    '',
    'This page is written by `npm run clients -- --write`; the scenarios are in `test/clients/`.',
    '',
    `Last run: ${run.date}, ${run.server}, ${run.machine}. ${passed} of ${run.cells.length} cells work.`,
    '',
    '| Client | Version |',
    '|---|---|',
  ]
  const shown = run.clients.filter((client) => run.cells.some((cell) => cell.client === client.name))
  for (const client of shown) {
    lines.push(`| [${client.name}](#${client.name}) | ${run.versions.get(client.name) ?? 'not installed'} |`)
  }
  for (const client of shown) {
    lines.push('', `## ${client.name}`, '', `| Scenario | What works | ${SERVERS.join(' | ')} |`)
    lines.push(`|---|---|${SERVERS.map(() => '---|').join('')}`)
    for (const scenario of client.scenarios) {
      const cells = SERVERS.map((server) =>
        run.cells.find(
          (cell) =>
            cell.client === client.name &&
            cell.scenario === scenario.name &&
            columnOf(cell.server) === server,
        ),
      )
      if (cells.every((cell) => cell === undefined)) continue
      const marks = cells.map((cell) => (cell ? MARKS[cell.ending] : 'does not apply'))
      lines.push(`| ${scenario.name} | ${scenario.does} | ${marks.join(' | ')} |`)
    }
  }
  return `${lines.join('\n')}\n`
}

/** Behind the slow line is one with tokens. */
function columnOf(server: ServerKind): ServerKind {
  return server === 'slow line' ? 'TLS + tokens' : server
}
