// npm run bench: Stowage against distribution 3.1.1, both measured in one run. Its exit code says that it ran, never how fast.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { RegistryKind } from '../processes/registry-server.ts'
import { compare, type Row, ratiosOf } from './comparison.ts'
import type { Finding } from './findings/finding.ts'
import { measureLargeStore } from './findings/large-store.ts'
import { measureMemory } from './findings/memory.ts'
import { measureEmptyStart } from './findings/start-up.ts'
import { SMALL_LAYER_BYTES } from './load/images.ts'
import { type Part, renderPart, writePart } from './page.ts'
import { renderFindings, renderRows } from './render.ts'
import type { Effort } from './scenario.ts'
import { pullBulk } from './scenarios/pull-bulk.ts'
import { pushBulk } from './scenarios/push-bulk.ts'
import { pushSmall } from './scenarios/push-small.ts'
import { readScenarios } from './scenarios/reads.ts'
import { openSide, withSides } from './sides.ts'

const HELP = `npm run bench -- [options]
  --quick              a short version: shows that everything runs, its figures are rough
  --only NAME[,NAME]   only these rows of the comparison, by name or the beginning of it
  --memory             memory and start-up time instead of the comparison
  --large              pages, pushes and start with 100,000 tags instead of the comparison
  --subject KIND       stowage (the default), or distribution: to see what two equal servers differ by
  --peer-cache         distribution with its in-memory descriptor cache, as in its image; the required ratios are without
  --dir FOLDER         where the stores lie; the system's folder for temporary files when absent
  --write              write the result into docs/benchmarks.md
  --date YYYY-MM-DD    the date on that page; today when absent
`
const MiB = 1024 * 1024
const PAGE = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'docs', 'benchmarks.md')

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    memory: { type: 'boolean', default: false },
    large: { type: 'boolean', default: false },
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
  const effort = effortIn(workspace)
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
  try {
    await main(workspace)
  } finally {
    rmSync(workspace, { recursive: true, force: true })
  }
}
