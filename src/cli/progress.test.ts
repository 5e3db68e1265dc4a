import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Output } from '#cli/output.ts'
import { plain } from '#cli/paint.ts'
import { Progress, type ProgressMode } from '#cli/progress.ts'
import { digestOf } from '#oci/digest.ts'

const digest = digestOf('a layer')
const short = digest.slice(7, 19)
const descriptor = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: 2_000_000 }

function under(mode: ProgressMode, columns = 80) {
  const notes: string[] = []
  const drawn: string[] = []
  const clock = { now: 1000 }
  const output: Output = {
    result: () => assert.fail('progress is no result'),
    note: (line) => notes.push(line),
    draw: (text) => drawn.push(text),
    resultsOnTerminal: false,
    terminal: () => (mode === 'bars' ? { columns, rows: 6 } : undefined),
  }
  return { progress: new Progress(mode, output, plain, () => clock.now), notes, drawn, clock }
}

/** One blob that is sent, broken in the middle, and goes on. */
function transfer({ progress, clock }: ReturnType<typeof under>): void {
  progress.onCopy({ type: 'blob-start', descriptor })
  clock.now += 1000
  progress.onCopy({ type: 'bytes', descriptor, bytes: 1_500_000 })
  progress.onCopy({ type: 'blob-restart', descriptor, from: 1_000_000 })
  clock.now += 1000
  progress.onCopy({ type: 'bytes', descriptor, bytes: 500_000 })
  progress.onCopy({ type: 'blob-end', descriptor, outcome: 'copied' })
}

test('piped, there is a line for each blob that ended and nothing is redrawn', () => {
  const shown = under('lines')
  transfer(shown)
  assert.deepEqual(shown.notes, [`${short}  copied  2.00 MB`])
  assert.deepEqual(shown.drawn, [])
})

test('quiet shows nothing', () => {
  const shown = under('none')
  transfer(shown)
  shown.progress.line('a line')
  assert.deepEqual([shown.notes, shown.drawn], [[], []])
})

test('a terminal shows a bar that grows, goes back where the transfer broke, and makes way for the line', () => {
  const shown = under('bars')
  transfer(shown)
  const bars = shown.drawn
    .map((text) => text.match(/\[(=*) *\] (\S+ \S+) \//))
    .filter((match) => match !== null)
  assert.deepEqual(
    bars.map(([, bar, size]) => [bar?.length, size]),
    [
      [0, '0 B'],
      [18, '1.50 MB'],
      [18, '1.50 MB'],
    ],
  )
  assert.equal(shown.drawn.at(-2), '\u001b[1A\u001b[0J', 'the bar is erased before the line')
  assert.deepEqual(shown.notes, [`${short}  copied  2.00 MB`])
})

test('the terminal is redrawn ten times a second at most', () => {
  const shown = under('bars')
  shown.progress.start('a', 'a', 1000)
  for (let at = 0; at < 1000; at++) {
    shown.clock.now += 1
    shown.progress.advance('a', 1)
  }
  assert.ok(shown.drawn.length <= 11, `${shown.drawn.length} redraws in a second`)
})

test('more transfers than the terminal has lines are counted, and no line is longer than the terminal', () => {
  const shown = under('bars', 30)
  for (let at = 0; at < 9; at++) {
    shown.clock.now += 200
    shown.progress.start(String(at), `transfer-with-a-long-name-${at}`, 1000)
  }
  const lines = (shown.drawn.at(-1) ?? '').split('\u001b[0J').at(-1)?.trimEnd().split('\n') ?? []
  assert.equal(lines.length, 4)
  assert.equal(lines.at(-1), 'and 6 more transfers')
  for (const line of lines) assert.ok(line.length <= 30, line)
})

test('the clock is that of the process unless another is given', () => {
  const drawn: string[] = []
  const output: Output = {
    result: () => {},
    note: () => {},
    draw: (text) => drawn.push(text),
    resultsOnTerminal: true,
    terminal: () => ({ columns: 80, rows: 24 }),
  }
  new Progress('bars', output, plain).start('a', 'a', 10)
  assert.match(drawn.join(''), /^a \[ +\] 0 B \/ 10 B\n$/)
})
