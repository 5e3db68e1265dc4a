// Prints the results of the suite, for a terminal and for docs/conformance.md.
import { isClean } from './results.ts'
import type { RunResults } from './runs.ts'

/** A failing exchange can be long: the suite's own report, kept with --keep FOLDER, has it all. */
const REASON_CHARS_MAX = 600

export function renderRun({ title, results, allowedDisabled }: RunResults): string {
  const { pass, fail, skip, error, disabled, total } = results.counts
  const lines = [
    `${isClean(results, allowedDisabled) ? 'ok  ' : 'MISS'} ${title}: ` +
      `${pass} Pass, ${fail} FAIL, ${skip} Skip, ${error} Error, ${disabled} Disabled of ${total}`,
  ]
  for (const name of results.disabled) {
    const meant = allowedDisabled.includes(name) ? 'not asked for in this run' : 'must not be left out'
    lines.push(`       Disabled ${name}: ${meant}`)
  }
  for (const finding of results.findings) {
    const reason = finding.reason.slice(0, REASON_CHARS_MAX).replaceAll('\n', '\n         ')
    lines.push(`  ${finding.status.padEnd(8)} ${finding.name}\n         ${reason}`)
  }
  return lines.join('\n')
}

export interface PageFacts {
  /** `YYYY-MM-DD` */
  readonly date: string
  readonly spec: string
  readonly suiteVersion: string
  readonly stowageVersion: string
  readonly nodeVersion: string
}

export function renderPage(runs: readonly RunResults[], facts: PageFacts): string {
  const rows = runs.map(({ title, results }) => {
    const { pass, fail, skip, error, total } = results.counts
    const left = results.disabled.join(', ') || 'nothing'
    return `| ${title} | ${pass} | ${fail} | ${skip} | ${error} | ${total} | ${left} |`
  })
  return `# Conformance

The official conformance suite of the OCI Distribution Specification, run against Stowage. This page is written by

\`\`\`
npm run conformance -- --write
\`\`\`

which starts a server of its own for every run, on a free port and an empty folder, and fails unless every test passes
with no FAIL, no Skip and no Error. \`.ci/run\` repeats it without \`--write\`.

| | |
|---|---|
| Suite | \`github.com/opencontainers/distribution-spec/conformance@${facts.suiteVersion}\` |
| Specification | \`OCI_VERSION=${facts.spec}\`${facts.spec === 'dev' ? ', the main branch: every optional feature on' : ''} |
| Stowage | ${facts.stowageVersion}, Node ${facts.nodeVersion} |
| Date | ${facts.date} |

| Run | Pass | FAIL | Skip | Error | Total | Left out |
|---|---|---|---|---|---|---|
${rows.join('\n')}

The suite has one data set that it leaves out unless \`OCI_DATA_SPARSE=true\` is set: manifests that name content which was
never pushed. By default Stowage refuses those; \`validation.manifests.sparse: true\` allows them.
`
}
