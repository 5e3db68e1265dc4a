// docs/reference/config.md lists what the schema declares, row by row.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { OutlineRow } from '#lib/settings/outline.ts'
import { knownKeys } from './suggestions.ts'

const STATUS = { works: 'works', ignored: 'ignored', warns: 'warns', stops: 'stops the start' } as const

/** Keys that only their section explains are named in its row. */
function lines(rows: readonly OutlineRow[]): string[] {
  const isSilent = (row: OutlineRow) => row.about === ''
  return rows
    .filter((row) => !isSilent(row))
    .map(({ path, type, initial, variable, status, about }) => {
      const keys = rows
        .filter(
          (row) =>
            isSilent(row) && /^(\[n\])?\./.test(row.path.slice(path.length)) && row.path.startsWith(path),
        )
        .map((row) => `\`${row.path.slice(path.length).replace(/^(\[n\])?\./, '')}\``)
      const what = keys.length === 0 ? about : `${about.replace(/\.?$/, '.')} Keys: ${keys.join(', ')}`
      const cells = [
        `\`${path}\``,
        type,
        initial && `\`${initial}\``,
        variable && `\`${variable}\``,
        STATUS[status],
        what,
      ]
      return `| ${cells.join(' | ')} |`.replaceAll('|  |', '| |')
    })
}

test('the reference has a row for each key, with its type, default, variable, status and purpose', () => {
  const documented = readFileSync('docs/reference/config.md', 'utf8')
    .split('\n')
    .filter((text) => text.startsWith('| `'))
    .map((text) => text.replaceAll(/ {2,}(?=\|)/g, ' ').replaceAll('|  |', '| |'))
  assert.deepEqual(documented.toSorted(), lines(knownKeys()).toSorted())
})

test('no key has an underscore, which a variable could not reach, and no variable names two keys', () => {
  const rows = knownKeys()
  assert.deepEqual(
    rows.filter(({ path }) => path.includes('_')),
    [],
  )
  assert.equal(new Set(rows.map(({ variable }) => variable)).size, rows.length)
})
