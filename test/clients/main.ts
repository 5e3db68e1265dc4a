// npm run clients: every real client against a running registry: plain, with TLS and htpasswd, with TLS and tokens.
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { arch, cpus, platform, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { S3Gateway } from '../processes/s3-gateway.ts'
import { findProgram } from '../tools/find-program.ts'
import { CLIENTS } from './clients.ts'
import { baseEnvironment, prepareGround } from './ground.ts'
import { makeImages } from './images.ts'
import { type Cell, type Choice, chosen, isInstalled, runColumn } from './runner.ts'
import { ALL_SERVERS, type Ground, type ServerKind } from './scenario.ts'
import { clientsPage } from './table.ts'
import { versionsOf } from './versions.ts'

const USAGE = `usage: npm run clients -- [options]
  --only CLIENT[/SCENARIO]   only these (repeatable); includes the longer scenarios that it names
  --all                      the longer scenarios too
  --list                     print the names of the chosen scenarios and end
  --write                    write docs/clients.md: implies --all, against our own server
  --registry-binary PATH     test this registry instead of ours (it is started as PATH serve CONFIG)
  --s3                       blobs in a bucket of versitygw: the plain server redirects to it, the other serves every byte
  --keep                     leave the folder of the run where it is
`

const ROOT = join(import.meta.dirname, '..', '..')
const PAGE = join(ROOT, 'docs', 'clients.md')
/** What the suite itself needs, whatever the client. */
const GROUND_PROGRAMS = ['busybox', 'openssl', 'htpasswd', 'tar']

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    all: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    s3: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    'registry-binary': { type: 'string' },
  },
})
if (values.help) {
  process.stdout.write(USAGE)
} else {
  try {
    process.exitCode = await main()
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}

async function main(): Promise<number> {
  const choice: Choice = {
    all: values.all || values.write,
    only: values.only,
    ci: Boolean(process.env['CI']),
  }
  const names = CLIENTS.flatMap((client) => [
    client.name,
    ...client.scenarios.map((scenario) => `${client.name}/${scenario.name}`),
  ])
  const unknown = choice.only.filter((name) => !names.includes(name))
  if (unknown.length > 0)
    throw new Error(`unknown: ${unknown.join(', ')}; see npm run clients -- --all --list`)
  if (values.list) {
    for (const client of CLIENTS) {
      for (const scenario of client.scenarios) {
        if (ALL_SERVERS.some((kind) => chosen(client, scenario, kind, choice))) {
          process.stdout.write(`${client.name}/${scenario.name}: ${scenario.does}\n`)
        }
      }
    }
    return 0
  }
  const binary = values['registry-binary']
  if (values.write && (binary !== undefined || choice.only.length > 0 || values.s3)) {
    throw new Error('--write takes a whole run against our own server: no --only, --registry-binary or --s3')
  }
  const missing = GROUND_PROGRAMS.filter((name) => !isInstalled(name))
  if (missing.length > 0) throw new Error(`not installed: ${missing.join(', ')} (node test/tools/install.ts)`)

  // Lower case throughout: podman makes an image name of a path.
  const dir = join(tmpdir(), `stowage-clients-${randomBytes(4).toString('hex')}`)
  await mkdir(dir, { mode: 0o700 })
  const stop = new AbortController()
  // The cell that runs is finished, then everything is taken down.
  const interrupt = () => stop.abort(new Error('interrupted'))
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)
  const grounds: Ground[] = []
  const gateway = values.s3 ? await S3Gateway.start() : undefined
  const storageOf = (kind: ServerKind) =>
    gateway && {
      s3: {
        ...gateway.storageConfig(gateway.newBucket()),
        // crane and cosign follow no redirect from the name of the server to a bare address.
        redirectendpoint: `http://localhost:${gateway.port}`,
      },
      redirect: { disable: kind !== 'plain' },
    }
  try {
    const env = baseEnvironment(dir)
    const images = await makeImages(dir, findProgram('busybox') ?? 'busybox', env)
    const serverCommand = binary
      ? [binary, 'serve']
      : [process.execPath, join(ROOT, 'bin', 'stowage.js'), 'serve']
    const projects = CLIENTS.map(({ name }) => name)
    for (const [index, kind] of ALL_SERVERS.entries()) {
      // Accounts are a matter of our own.
      if (binary !== undefined && (kind === 'TLS + tokens' || kind === 'slow line')) continue
      if (!CLIENTS.some((client) => client.scenarios.some((one) => chosen(client, one, kind, choice))))
        continue
      const storage = storageOf(kind)
      const place = join(dir, String(index))
      grounds.push(await prepareGround({ kind, serverCommand, images, dir: place, projects, storage }))
    }
    const began = performance.now()
    // The servers share nothing, so their columns run beside each other.
    const columns = await Promise.all(
      grounds.flatMap((ground) =>
        partsOf(ground.kind).map((clients) => runColumn(ground, clients, choice, printCell, stop.signal)),
      ),
    )
    const cells = columns.flat()
    if (values.write) {
      const page = clientsPage({
        date: new Date().toISOString().slice(0, 10),
        server: `stowage ${JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')).version}`,
        machine: `${platform()}/${arch()}, ${cpus().length} cores`,
        clients: CLIENTS,
        versions: await versionsOf(CLIENTS, env),
        cells,
      })
      await writeFile(PAGE, page)
      process.stdout.write(`written: ${PAGE}\n`)
    }
    return printSum(cells, performance.now() - began)
  } finally {
    for (const ground of grounds) await ground.server.stop()
    await gateway?.stop()
    if (values.keep) process.stdout.write(`kept: ${dir}\n`)
    else await rm(dir, { recursive: true, force: true })
  }
}

/** Clients that run one after another: all of them, or each by itself. */
function partsOf(kind: ServerKind): (typeof CLIENTS)[] {
  return kind === 'slow line' ? CLIENTS.map((client) => [client]) : [CLIENTS]
}

function printCell(cell: Cell): void {
  const seconds = `${(cell.ms / 1000).toFixed(1)} s`.padStart(7)
  const where = cell.server.padEnd(15)
  const name = `${cell.client}/${cell.scenario}`.padEnd(28)
  process.stdout.write(`${cell.ending.padEnd(4)} ${where} ${name} ${seconds}${reasonOf(cell)}\n`)
}

function reasonOf(cell: Cell): string {
  if (cell.reason === undefined) return ''
  return cell.ending === 'skip' ? `  ${cell.reason}` : `\n  ${cell.reason.replaceAll('\n', '\n  ')}`
}

function printSum(cells: readonly Cell[], ms: number): number {
  const count = (ending: Cell['ending']) => cells.filter((cell) => cell.ending === ending).length
  const failed = cells.filter((cell) => cell.ending === 'FAIL')
  for (const cell of failed)
    process.stdout.write(`failed: ${cell.client}/${cell.scenario} on ${cell.server}\n`)
  process.stdout.write(`${(ms / 1000).toFixed(0)} s\n`)
  process.stdout.write(`clients: ${count('ok')} passed, ${count('FAIL')} failed, ${count('skip')} skipped\n`)
  return failed.length > 0 || cells.length === 0 ? 1 : 0
}
