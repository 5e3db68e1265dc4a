// npm run bench: Stowage against distribution 3.1.1, both measured in one run. Its exit code says that it ran, never how fast.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { RegistryKind } from '../processes/registry-server.ts'
import { requireProgram } from '../tools/find-program.ts'
import { toolVersion } from '../tools/pinned.ts'
import { ACCESS_HEADINGS, compareAccess, compareQuotas, SQLITE_ROUNDS_FACTOR } from './access.ts'
import { type CarryEffort, compareCarriers } from './clients/compare-carriers.ts'
import { CARRY_HEADINGS, carryCells } from './clients/render-carried.ts'
import { compare, type Row, ratiosOf } from './comparison.ts'
import { compareEngines, ENGINE_HEADINGS } from './engines.ts'
import type { Finding } from './findings/finding.ts'
import { measureLargeStore } from './findings/large-store.ts'
import { measureMemory } from './findings/memory.ts'
import { measureEmptyStart } from './findings/start-up.ts'
import { SMALL_LAYER_BYTES } from './load/images.ts'
import { type Part, renderPart, writePart } from './page.ts'
import { renderFindings, renderRows, renderTable } from './render.ts'
import { compareOnS3 } from './s3/compare-on-s3.ts'
import type { Effort } from './scenario.ts'
import { pullBulk } from './scenarios/pull-bulk.ts'
import { pushBulk } from './scenarios/push-bulk.ts'
import { pushSmall } from './scenarios/push-small.ts'
import { readScenarios } from './scenarios/reads.ts'
import { openSide, spreadFolders, withSides } from './sides.ts'

const HELP = `npm run bench -- [options]
  --quick              a short version: shows that everything runs, its figures are rough
  --only NAME[,NAME]   only these rows of the comparison, by name or the beginning of it
  --clients            our command against skopeo, crane and oras instead of the comparison
  --memory             memory and start-up time instead of the comparison
  --s3                 both on one versitygw instead of the comparison
  --engines            our server on PostgreSQL against our server on SQLite instead of the comparison
  --access             our server with users against itself without, and with many projects against one
  --quotas             many pushes at once with quotas against without, on SQLite and PostgreSQL
  --large              pages, pushes and start with 100,000 tags instead of the comparison
  --subject KIND       stowage (the default), or distribution: to see what two equal servers differ by
  --peer-cache         distribution with its in-memory descriptor cache, as in its image; the required ratios are without
  --dir FOLDER         where the stores lie; the system's folder for temporary files when absent
  --write              write the result into docs/benchmarks.md
  --date YYYY-MM-DD    the date on that page; today when absent
`
const MB = 1_000_000
const MiB = 1024 * 1024
const PAGE = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'docs', 'benchmarks.md')

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    clients: { type: 'boolean', default: false },
    memory: { type: 'boolean', default: false },
    large: { type: 'boolean', default: false },
    s3: { type: 'boolean', default: false },
    engines: { type: 'boolean', default: false },
    access: { type: 'boolean', default: false },
    quotas: { type: 'boolean', default: false },
    subject: { type: 'string', default: 'stowage' },
    'peer-cache': { type: 'boolean', default: false },
    dir: { type: 'string', default: tmpdir() },
    write: { type: 'boolean', default: false },
    date: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

function effortIn(workspace: string): Effort {
  return options.quick
    ? {
        workspace,
        rounds: 2,
        loadSec: 1,
        warmUpSec: 1,
        bulkBytes: 128 * MiB,
        bulkPulls: 4,
        imagesPerRound: 80,
      }
    : {
        workspace,
        rounds: 5,
        loadSec: 3,
        warmUpSec: 2,
        bulkBytes: 1024 * MiB,
        bulkPulls: 3,
        imagesPerRound: 600,
      }
}

/** What is required: 10 layers of 100 MB, and 100 images of 10 layers of 2 MB that share 8. */
function carryEffortIn(workspace: string): CarryEffort {
  const one = { images: 1, layers: 10, sharedLayers: 0 }
  const many = { layers: 10, sharedLayers: 8 }
  return options.quick
    ? {
        workspace,
        rounds: 1,
        shapes: [
          { ...one, layerBytes: 5 * MB },
          { ...many, images: 8, layerBytes: MB / 2 },
        ],
      }
    : {
        workspace,
        rounds: 3,
        shapes: [
          { ...one, layerBytes: 100 * MB },
          { ...many, images: 100, layerBytes: 2 * MB },
        ],
      }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function subjectKind(): RegistryKind {
  if (options.subject === 'stowage' || options.subject === 'distribution') return options.subject
  throw new Error(`--subject is stowage or distribution, not ${options.subject}`)
}

function openSubject(parent: string) {
  return openSide(options.subject === 'stowage' ? 'stowage' : 'subject', subjectKind(), { parent })
}

function openPeer(parent: string) {
  const storage = options['peer-cache'] ? { cache: { blobdescriptor: 'inmemory' } } : {}
  return openSide('distribution', 'distribution', { parent, storage })
}

async function runComparison(effort: Effort): Promise<Row[]> {
  const names = options.only.split(',')
  const all = [pushBulk, pullBulk(), pushSmall, ...readScenarios()]
  const chosen = all.filter(({ name }) => names.some((wanted) => name.startsWith(wanted)))
  if (chosen.length === 0) throw new Error(`--only knows ${all.map(({ name }) => name).join(', ')}`)
  const opening = [() => openSubject(effort.workspace), () => openPeer(effort.workspace)]
  return withSides(opening, async (ours, theirs) => {
    const rows: Row[] = []
    if (!ours || !theirs) return rows
    for (const scenario of chosen) {
      const row = await compare(scenario, ours, theirs, effort)
      const { cpu, rate } = ratiosOf(row)
      say(`${scenario.name.padEnd(22)} CPU ${cpu.toFixed(2)}x, rate ${rate.toFixed(2)}x`)
      rows.push(row)
    }
    return rows
  })
}

async function runMemory(effort: Effort): Promise<Finding[]> {
  const load = options.quick ? { transfers: 8, bytesEach: 32 * MiB } : { transfers: 32, bytesEach: 256 * MiB }
  const findings = [await measureEmptyStart(subjectKind(), effort.workspace)]
  for (const open of [openSubject, openPeer]) {
    const measured = await withSides([() => open(effort.workspace)], async (side) =>
      side ? measureMemory(side, load, side.name !== 'distribution') : [],
    )
    findings.push(...measured)
  }
  return findings
}

function runLarge(effort: Effort): Promise<Finding[]> {
  return withSides([() => openSubject(effort.workspace)], async (side) =>
    side ? measureLargeStore(side, effort, options.quick ? 5_000 : 100_000, say) : [],
  )
}

async function runS3(effort: Effort): Promise<void> {
  const names = options.only.split(',')
  const { rows, findings } = await compareOnS3(effort, { quick: options.quick, names, say })
  say('')
  say(renderRows(rows, 'terminal'))
  say(renderFindings(findings, 'terminal'))
  const tables = [renderRows(rows, 'markdown'), renderFindings(findings, 'markdown')]
  publish('s3', tables.join('\n\n'), s3Notes(effort))
}

function s3Notes(effort: Effort): string[] {
  return [
    `Both servers on one versitygw ${toolVersion('versitygw')} over the file system, redirects off, each in a bucket of its own; the gateway's own CPU,`,
    `the same program for both, is not counted. Otherwise as above: medians of ${effort.rounds} rounds, bulk of ${effort.bulkBytes / MiB} MiB.`,
  ]
}

async function runClients(effort: CarryEffort): Promise<void> {
  const rows = await compareCarriers(effort, say)
  const cells = carryCells(rows)
  say('')
  say(renderTable(CARRY_HEADINGS, cells, 'terminal'))
  publish('clients', renderTable(CARRY_HEADINGS, cells, 'markdown'), clientNotes(effort))
}

async function runEngines(effort: Effort): Promise<void> {
  const rows = await compareEngines(effort, options.only.split(','), sayRow)
  say('')
  say(renderRows(rows, 'terminal', ENGINE_HEADINGS))
  publish('engines', renderRows(rows, 'markdown', ENGINE_HEADINGS), [
    `Medians of ${effort.rounds} rounds, the two servers in turn. CPU is that of our process alone; PostgreSQL runs on the same machine,`,
    'with fsync and synchronous commits, over a socket, and takes its share of the processors from the rate.',
  ])
}

async function runAccess(effort: Effort): Promise<void> {
  const sizes = options.quick ? { projects: 500, members: 20 } : { projects: 10_000, members: 100 }
  const rows = await compareAccess(effort, sizes, sayRow)
  say('')
  say(renderRows(rows, 'terminal', ACCESS_HEADINGS))
  publish('access', renderRows(rows, 'markdown', ACCESS_HEADINGS), [
    `Medians of ${effort.rounds} rounds, the two servers in turn; wrk over 32 kept connections. A token costs at most 1,000 us where it`,
    'is asked for with an API key: see its row. The last two rows compare a server of many projects with one of a single project.',
  ])
}

async function runQuotas(effort: Effort): Promise<void> {
  const rows = await compareQuotas(effort, sayRow)
  say('')
  say(renderRows(rows, 'terminal', ACCESS_HEADINGS))
  publish('quotas', renderRows(rows, 'markdown', ACCESS_HEADINGS), [
    `Medians of ${effort.rounds} rounds (on SQLite ${effort.rounds * SQLITE_ROUNDS_FACTOR}) of ${effort.imagesPerRound} images, the two servers in turn. With: bytes, repositories and tags of the project,`,
    'and bytes of the registry, far from their limits. All that pushes count is counted in both, since a quota can be set at any time;',
    'with quotas each push is compared with them too.',
  ])
}

function sayRow(row: Row): void {
  const { cpu, rate } = ratiosOf(row)
  say(`${row.scenario.name.padEnd(22)} CPU ${cpu.toFixed(2)}x, rate ${rate.toFixed(2)}x`)
}

function clientNotes({ rounds }: CarryEffort): string[] {
  return [
    `${rounds === 1 ? 'One round' : `Medians of ${rounds} rounds after one that is not counted`}, the clients in turn; peak memory is the most of all rounds, of the`,
    `largest process. Between distribution ${toolVersion('registry')} and an OCI layout, both on the file system: a pull goes to a new folder, a`,
    `push to a new registry. CPU is the client's alone. skopeo ${skopeoVersion()}, crane ${toolVersion('crane')}, oras ${toolVersion('oras')}. Many images go with`,
    '`stowage copy --all-tags`, `crane pull` of all references, a loop of `crane push`, `oras backup` and `oras restore`, and a loop',
    'of `skopeo copy` with one layout. Bytes moved are counted by a relay in a run of its own: configs and layers as HTTP bodies.',
  ]
}

function skopeoVersion(): string {
  const { stdout } = spawnSync(requireProgram('skopeo'), ['--version'], { encoding: 'utf8' })
  return stdout.replace('skopeo version', '').trim()
}

function comparisonNotes(effort: Effort): string[] {
  return [
    `Medians of ${effort.rounds} rounds, the two servers in turn. Bulk is ${effort.bulkBytes / MiB} MiB sent by curl as POST, PATCH, PUT;`,
    `a small image is one layer of ${SMALL_LAYER_BYTES / 1024} KiB, a config and a manifest, all new: for each blob HEAD, POST, PUT with the body,`,
    'then HEAD of the tag and PUT of the manifest. GET is asked for by wrk, HEAD by ab, over 32 kept connections. Logs at',
    `error, access log off, deletes on, distribution's tracing off; distribution runs ${options['peer-cache'] ? 'with' : 'without'} its in-memory cache of`,
    'descriptors (`--peer-cache` turns it on: it about halves what a blob HEAD costs there, and helps manifests a little).',
  ]
}

function publish(part: Part, table: string, notes: readonly string[]): void {
  if (!options.write) return
  const flags = process.argv.slice(2).filter((flag) => !/^--(write|date)/.test(flag) && flag !== options.date)
  const command = ['npm run bench', ...(flags.length > 0 ? ['--', ...flags] : [])].join(' ')
  const date = options.date ?? new Date().toISOString().slice(0, 10)
  writePart(PAGE, part, renderPart(table, { command, date, notes }))
}

async function main(workspace: string): Promise<void> {
  if (options.clients) return await runClients(carryEffortIn(workspace))
  const effort = effortIn(workspace)
  if (options.s3) return await runS3(effort)
  if (options.engines) return await runEngines(effort)
  if (options.access) return await runAccess(effort)
  if (options.quotas) return await runQuotas(effort)
  if (options.memory || options.large) {
    const findings = options.memory ? await runMemory(effort) : await runLarge(effort)
    say(renderFindings(findings, 'terminal'))
    publish(options.memory ? 'memory' : 'large', renderFindings(findings, 'markdown'), [])
    return
  }
  const rows = await runComparison(effort)
  say('')
  say(renderRows(rows, 'terminal'))
  publish('comparison', renderRows(rows, 'markdown'), comparisonNotes(effort))
}

if (options.help) {
  say(HELP)
} else {
  const workspace = mkdtempSync(join(options.dir, 'stowage-bench-'))
  spreadFolders(workspace)
  try {
    await main(workspace)
  } finally {
    rmSync(workspace, { recursive: true, force: true })
  }
}
