// docs/reference/errors.md and src/oci/errors.ts say the same.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ERRORS } from '#oci/errors.ts'

const rows = readFileSync('docs/reference/errors.md', 'utf8')
  .split('\n')
  .filter((line) => /^\| [A-Z_]+ \|/.test(line))
  .map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )

test('the page of errors lists every reason with its code, status, retry and message, in the order of the table', () => {
  const expected = Object.entries(ERRORS).map(([reason, { code, status, retryable, message }]) => [
    reason,
    code,
    String(status),
    retryable ? 'yes' : 'no',
    message.replaceAll('<', '\\<'),
  ])
  assert.deepEqual(
    rows.map((cells) => cells.slice(0, 5)),
    expected,
  )
})

test('the page of errors says for each reason what to do, in a sentence of its own', () => {
  for (const cells of rows) assert.match(cells[5] ?? '', /^.{10,}\.$/, cells[0])
  assert.equal(new Set(rows.map((cells) => cells[5])).size, rows.length)
})
