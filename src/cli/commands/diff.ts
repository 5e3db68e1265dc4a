import type { Command } from 'commander'
import { formatBytes, printable } from '#cli/figures.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import { type Session, type Tools, withSession } from '#cli/session.ts'
import type { FileChange, ImageComparison } from '#layers/compare.ts'

interface DiffOptions {
  readonly platform?: string
  readonly times?: boolean
  readonly all?: boolean
  readonly exitCode?: boolean
}

/** Changes that are shown unless --all. */
const SHOWN_MAX = 200
const SIGNS = { added: '+', removed: '-', changed: '~' } as const
const COLORS = { added: 'green', removed: 'red', changed: 'yellow' } as const

export function addDiffCommand(program: Command, tools: Tools): void {
  program
    .command('diff')
    .description('compare two images: layers, files and sizes')
    .argument('<left>', 'an image of a registry, a folder or an archive')
    .argument('<right>', 'another')
    .option('--platform <os/arch>', 'of multi-platform images; by default that of this machine')
    .option('--times', 'call a file changed of which only the time differs')
    .option('--all', `show every changed file, not only the first ${SHOWN_MAX}`)
    .option('--exit-code', 'end with 1 when the images differ')
    .addHelpText(
      'after',
      `
Layers that both images begin with are read once. With --json there is one document with every change.

Example:
  stowage diff localhost:5000/app:1.4.1 localhost:5000/app:1.4.2`,
    )
    .action(async (left: string, right: string, options: DiffOptions, command: Command) => {
      await withSession(command, tools, (session) => diff(session, [left, right], options))
    })
}

async function diff(session: Session, [left, right]: [string, string], options: DiffOptions): Promise<void> {
  const { openSource } = await import('#cli/open-place.ts')
  const { layerSources, loadImage } = await import('#cli/load-image.ts')
  const { compareImages } = await import('#layers/compare.ts')
  const { signal } = session
  const sides = []
  for (const text of [left, right]) {
    const source = await openSource(session, text)
    const image = await loadImage(source, options.platform, signal)
    sides.push({
      text: source.text,
      digest: image.content.descriptor.digest,
      layers: layerSources(source, image, signal),
    })
  }
  const [a, b] = sides
  if (!a || !b) throw new Error('two images are compared')
  const comparison = await compareImages({
    left: a.layers,
    right: b.layers,
    times: options.times ?? false,
    signal,
  })
  const { totals, layers } = comparison
  const value = session.options.json && {
    left: { image: a.text, digest: a.digest, ...comparison.left },
    right: { image: b.text, digest: b.digest, ...comparison.right },
    layers,
    totals,
    changes: [...comparison.changes()],
  }
  session.print(value, () => linesOf(session, comparison, options.all ? Number.POSITIVE_INFINITY : SHOWN_MAX))
  const differs = totals.added + totals.removed + totals.changed > 0
  if (options.exitCode && differs) throw new CommandFailure(EXIT.failed, 'the images differ')
}

function* linesOf({ paint }: Session, comparison: ImageComparison, shownMax: number): Generator<string> {
  const { layers, totals, left, right } = comparison
  yield `layers: ${layers.shared.length} shared, ${layers.leftOnly.length} only left, ${layers.rightOnly.length} only right`
  yield `files:  ${totals.added} added, ${totals.removed} removed, ${totals.changed} changed, ${totals.unchanged} the same`
  yield `size:   ${formatBytes(left.bytes)} -> ${formatBytes(right.bytes)} (${signed(right.bytes - left.bytes)})`
  let shown = 0
  for (const change of comparison.changes()) {
    if (shown >= shownMax) {
      yield `and ${totals.added + totals.removed + totals.changed - shown} more: show them with --all`
      return
    }
    shown += 1
    yield paint(COLORS[change.what], lineOf(change))
  }
}

function lineOf(change: FileChange): string {
  const sign = SIGNS[change.what]
  const path = printable(change.path)
  if (change.what === 'added') return `${sign} ${path}  ${formatBytes(change.right.size)}`
  if (change.what === 'removed') return `${sign} ${path}  ${formatBytes(change.left.size)}`
  return `${sign} ${path}  ${change.aspects.join(', ')}  ${signed(change.right.size - change.left.size)}`
}

function signed(bytes: number): string {
  return `${bytes < 0 ? '-' : '+'}${formatBytes(Math.abs(bytes))}`
}
