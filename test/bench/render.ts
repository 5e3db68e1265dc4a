// Prints the figures: lines for a terminal, tables for docs/benchmarks.md.

import { isMet, type Measured, type Row, ratiosOf } from './comparison.ts'
import type { Finding } from './findings/finding.ts'

const UNITS_PER_SEC = { s: 1, ms: 1e3, us: 1e6 } as const

/** Three significant digits, thousands grouped. */
export function figure(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US')
  return String(Number(value.toPrecision(3)))
}

function cpuOf(row: Row, side: Measured): string {
  return figure(side.cpuSeconds * UNITS_PER_SEC[row.scenario.cpuUnit])
}

function rateOf(row: Row, side: Measured): string {
  return figure(side.rate * row.perOperation)
}

const HEADINGS = [
  'Operation',
  'CPU ours / theirs',
  'ratio (required)',
  'rate ours / theirs',
  'ratio (required)',
  '',
]

function cellsOf(row: Row): string[] {
  const { cpu, rate } = ratiosOf(row)
  const { cpuAtMost, rateAtLeast } = row.scenario.required
  return [
    row.scenario.title,
    `${cpuOf(row, row.ours)} / ${cpuOf(row, row.theirs)} ${row.scenario.cpuUnit}`,
    Number.isFinite(cpuAtMost) ? `${cpu.toFixed(2)}x (<= ${cpuAtMost}x)` : `${cpu.toFixed(2)}x`,
    `${rateOf(row, row.ours)} / ${rateOf(row, row.theirs)} ${row.scenario.rateUnit}/s`,
    rateAtLeast > 0 ? `${rate.toFixed(2)}x (>= ${rateAtLeast}x)` : `${rate.toFixed(2)}x`,
    isMet(row) ? 'ok' : 'miss',
  ]
}

function findingCells(finding: Finding): string[] {
  const limit = finding.atMost === undefined ? '' : `<= ${figure(finding.atMost)} ${finding.unit}`
  const met = finding.atMost === undefined || finding.value <= finding.atMost
  const mark = finding.atMost === undefined ? '' : met ? 'ok' : 'miss'
  return [finding.title, `${figure(finding.value)} ${finding.unit}`.trim(), limit.trim(), mark, finding.note]
}

const FINDING_HEADINGS = ['What', 'Measured', 'Required', '', 'Note']

function terminal(cells: readonly (readonly string[])[]): string {
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((line) => line[column]?.length ?? 0)),
  )
  return cells
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function markdown(cells: readonly (readonly string[])[]): string {
  const [head = [], ...rest] = cells.map((line) => `| ${line.join(' | ')} |`)
  return [head, `|${'---|'.repeat(cells[0]?.length ?? 0)}`, ...rest].join('\n')
}

export type Form = 'terminal' | 'markdown'

export function renderRows(rows: readonly Row[], form: Form, headings: readonly string[] = HEADINGS): string {
  return renderTable(headings, rows.map(cellsOf), form)
}

export function renderFindings(findings: readonly Finding[], form: Form): string {
  return renderTable(FINDING_HEADINGS, findings.map(findingCells), form)
}

export function renderTable(
  headings: readonly string[],
  lines: readonly (readonly string[])[],
  form: Form,
): string {
  const cells = [headings, ...lines]
  return form === 'terminal' ? terminal(cells) : markdown(cells)
}
