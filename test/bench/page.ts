// Keeps docs/benchmarks.md: every part of the benchmark owns what stands between its two markers.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { toolVersion } from '../tools/pinned.ts'

export type Part = 'comparison' | 'clients' | 'memory' | 'large' | 's3' | 'engines' | 'access' | 'quotas'

const PARTS: Record<Part, string> = {
  comparison: 'Against distribution 3.1.1',
  clients: 'The client',
  memory: 'Memory and start',
  large: 'A large store',
  s3: 'On S3',
  engines: 'PostgreSQL beside SQLite',
  access: 'Users and rights',
  quotas: 'Quotas',
}

function begin(part: Part): string {
  return `<!-- bench:${part} begin -->`
}

function end(part: Part): string {
  return `<!-- bench:${part} end -->`
}

const EMPTY_PAGE = `# Benchmarks

\`npm run bench\` starts Stowage and distribution ${toolVersion('registry')} side by side on this machine's file system and measures both in one
run, in turn, over loopback. CPU is what the server used (\`/proc/<pid>/stat\`, all threads and children), work that it put
off included; the programs that make the load are not counted. The figures of one machine say little about another: the
ratios are what counts (\`docs/decisions/0006-benchmarks-as-ratios.md\`). The parts below are written by the commands that
they name; what was learned from them stands at the end.

${(Object.keys(PARTS) as Part[])
  .map((part) => `## ${PARTS[part]}\n\n${begin(part)}\n${end(part)}`)
  .join('\n\n')}

## What was learned
`

function machine(): string {
  const processors = cpus()
  const model = processors[0]?.model.trim() || 'unknown processor'
  return `${model}, ${processors.length} cores, Linux ${release().split('-')[0]}, Node ${process.versions.node}`
}

export interface PartFacts {
  readonly command: string
  /** `YYYY-MM-DD` */
  readonly date: string
  /** Sentences that say how the table came about. */
  readonly notes: readonly string[]
}

export function renderPart(table: string, facts: PartFacts): string {
  const heading = `\`${facts.command}\`, ${facts.date}, ${machine()}.`
  return ['', heading, '', table, '', ...facts.notes, ''].join('\n')
}

/** Puts `text` between the markers of a part, and leaves everything else on the page as it is. */
export function replacePart(page: string, part: Part, text: string): string {
  const from = page.indexOf(begin(part))
  const to = page.indexOf(end(part))
  if (from < 0 || to < from) throw new Error(`the page has no ${begin(part)} ... ${end(part)}`)
  return `${page.slice(0, from + begin(part).length)}${text}${page.slice(to)}`
}

export function writePart(path: string, part: Part, text: string): void {
  const page = existsSync(path) ? readFileSync(path, 'utf8') : EMPTY_PAGE
  writeFileSync(path, replacePart(page, part, text))
}
