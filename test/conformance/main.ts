// npm run conformance: the official suite, against servers of ours in every way that is asked of us, or against any registry with --registry.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { toolVersion } from '../tools/pinned.ts'
import { renderPage, renderRun } from './report.ts'
import { isClean } from './results.ts'
import { allowedDisabledOf, performRun, RUNS, type RunResults } from './runs.ts'
import { runSuite } from './suite.ts'

const HELP = `npm run conformance -- [options]
  --registry URL       test a registry that already runs, instead of starting ours
  --username, --password
  --spec VERSION       dev (the default), 1.1 or 1.0
  --only TEXT          only the runs whose title contains TEXT
  --keep FOLDER        keep the suite's own reports there
  --write              write docs/conformance.md
  --date YYYY-MM-DD    the date on that page; today when absent
`
const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

const { values: options } = parseArgs({
  options: {
    registry: { type: 'string' },
    username: { type: 'string' },
    password: { type: 'string' },
    spec: { type: 'string', default: 'dev' },
    only: { type: 'string', default: '' },
    keep: { type: 'string' },
    write: { type: 'boolean', default: false },
    date: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

async function* runAgainst(registry: string): AsyncGenerator<RunResults> {
  const url = new URL(registry.includes('://') ? registry : `http://${registry}`)
  const { username, password } = options
  const credentials = username === undefined ? undefined : { username, password: password ?? '' }
  const target = {
    host: url.host,
    tls: url.protocol === 'https:' ? 'enabled' : 'disabled',
    credentials,
  } as const
  for (const sparse of [false, true]) {
    const title = `${url.host}${sparse ? ', sparse manifests asked for' : ''}`
    if (!title.includes(options.only)) continue
    const results = await runSuite(target, { spec: options.spec, sparse, keep: folderFor(title) })
    yield { title, results, allowedDisabled: allowedDisabledOf(sparse) }
  }
}

async function* runOurs(): AsyncGenerator<RunResults> {
  for (const run of RUNS.filter((candidate) => candidate.title.includes(options.only))) {
    yield await performRun(run, options.spec, folderFor(run.title))
  }
}

function folderFor(title: string): string | undefined {
  if (options.keep === undefined) return undefined
  const folder = join(options.keep, title.replaceAll(/[^\w.-]+/g, '-'))
  mkdirSync(folder, { recursive: true })
  return folder
}

async function main(): Promise<void> {
  if (options.help) {
    process.stdout.write(HELP)
    return
  }
  const runs: RunResults[] = []
  for await (const run of options.registry ? runAgainst(options.registry) : runOurs()) {
    process.stdout.write(`${renderRun(run)}\n`)
    runs.push(run)
  }
  if (options.write) {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
    const page = renderPage(runs, {
      date: options.date ?? new Date().toISOString().slice(0, 10),
      spec: options.spec,
      suiteVersion: toolVersion('conformance'),
      stowageVersion: version,
      nodeVersion: process.versions.node,
    })
    writeFileSync(join(ROOT, 'docs', 'conformance.md'), page)
  }
  const clean = runs.length > 0 && runs.every((run) => isClean(run.results, run.allowedDisabled))
  process.exitCode = clean ? 0 : 1
}

await main()
