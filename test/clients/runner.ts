// Runs the scenarios of all clients on one kind of server, one after another, and says how each cell of the table ended.
import { randomBytes } from 'node:crypto'
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { findProgram, isExecutable } from '../tools/find-program.ts'
import { toolsFolder } from '../tools/pinned.ts'
import { type Client, type Ground, type Scenario, SERVERS, type ServerKind, Stand } from './scenario.ts'

const SERVER_LOG_LINES_MAX = 16
const SERVER_LOG_LINE_CHARS_MAX = 400

export type Ending = 'ok' | 'FAIL' | 'skip'

export interface Cell {
  readonly client: string
  readonly scenario: string
  readonly server: ServerKind
  readonly ending: Ending
  /** Why it failed or was skipped. */
  readonly reason?: string
  readonly ms: number
}

export interface Choice {
  /** Run the longer scenarios too. */
  readonly all: boolean
  /** `client` or `client/scenario`; empty for everything. */
  readonly only: readonly string[]
  /** Where a missing program is a failure. */
  readonly ci: boolean
}

export function chosen(client: Client, scenario: Scenario, kind: ServerKind, choice: Choice): boolean {
  const servers: readonly ServerKind[] = scenario.servers ?? SERVERS
  if (!servers.includes(kind)) return false
  const name = `${client.name}/${scenario.name}`
  if (choice.only.length > 0) return choice.only.includes(name) || choice.only.includes(client.name)
  return choice.all || scenario.long !== true
}

/** Why a client cannot run on this machine; undefined when it can. */
export function obstacle(client: Client): string | undefined {
  const missing = client.programs.filter((name) => !isInstalled(name))
  if (missing.length > 0) return `not installed: ${missing.join(', ')} (node test/tools/install.ts)`
  if (client.needsRoot && process.getuid?.() !== 0) return 'needs root'
  return undefined
}

export function isInstalled(program: string): boolean {
  return findProgram(program) !== undefined || isExecutable(join(toolsFolder(), 'bin', program))
}

/** @returns a cell for every chosen scenario, in order; `report` hears of each as it ends */
export async function runColumn(
  ground: Ground,
  clients: readonly Client[],
  choice: Choice,
  report: (cell: Cell) => void,
  signal: AbortSignal,
): Promise<Cell[]> {
  const cells: Cell[] = []
  const add = (client: Client, scenario: Scenario, ending: Ending, ms: number, reason?: string) => {
    const cell: Cell = {
      client: client.name,
      scenario: scenario.name,
      server: ground.kind,
      ending,
      ms,
      ...(reason === undefined ? {} : { reason }),
    }
    cells.push(cell)
    report(cell)
  }
  for (const client of clients) {
    const scenarios = client.scenarios.filter((scenario) => chosen(client, scenario, ground.kind, choice))
    if (scenarios.length === 0) continue
    const blocked = obstacle(client)
    if (blocked !== undefined) {
      for (const scenario of scenarios) add(client, scenario, choice.ci ? 'FAIL' : 'skip', 0, blocked)
      continue
    }
    let prepared: Awaited<ReturnType<NonNullable<Client['prepare']>>> | undefined
    try {
      prepared = await client.prepare?.(ground)
    } catch (error) {
      for (const scenario of scenarios) add(client, scenario, 'FAIL', 0, messageOf(error))
      continue
    }
    try {
      for (const scenario of scenarios) {
        signal.throwIfAborted()
        const began = performance.now()
        const failure = await runCell(ground, client, scenario, prepared?.env ?? {})
        add(client, scenario, failure === undefined ? 'ok' : 'FAIL', performance.now() - began, failure)
      }
    } finally {
      await prepared?.stop()
    }
  }
  return cells
}

/** @returns what went wrong, with what the server logged meanwhile; undefined when all went well */
async function runCell(
  ground: Ground,
  client: Client,
  scenario: Scenario,
  env: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  const dir = join(ground.dir, 'cells', `${client.name}-${scenario.name}-${randomBytes(3).toString('hex')}`)
  await mkdir(join(dir, 'tmp'), { recursive: true })
  const logged = (await stat(ground.server.logFile)).size
  const stand = new Stand(ground, `${client.name}/${scenario.name}`, dir, {
    ...ground.env,
    TMPDIR: join(dir, 'tmp'),
    ...env,
  })
  try {
    await scenario.run(stand)
    await rm(dir, { recursive: true, force: true })
    return undefined
  } catch (error) {
    const log = (await ground.server.log(logged)).trimEnd().split('\n').slice(-SERVER_LOG_LINES_MAX)
    return `${messageOf(error)}\n  the server's log meanwhile:\n${log.map((line) => `  | ${line.slice(0, SERVER_LOG_LINE_CHARS_MAX)}`).join('\n')}`
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
