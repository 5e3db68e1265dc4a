// Shows transfers on standard error: a bar for each on a terminal, a line for each that ended when piped, or nothing.
import { count, formatBytes, shortDigest } from '#cli/figures.ts'
import type { Output } from '#cli/output.ts'
import type { Paint } from '#cli/paint.ts'
import type { CopyEvent } from '#client/copy-options.ts'

export type ProgressMode = 'bars' | 'lines' | 'none'

/** A redraw more often than this shows nothing that a person could read. */
const REDRAW_MS = 100
const BAR_CHARACTERS = 24
/** Lines of the terminal that are left to what was there before. */
const ROWS_KEPT = 3
const WORDS = { copied: 'copied', mounted: 'mounted', present: 'already there', 'left-out': 'left out' }

interface Bar {
  readonly label: string
  readonly total: number
  done: number
}

export class Progress {
  readonly mode: ProgressMode
  readonly #output: Output
  readonly #paint: Paint
  readonly #now: () => number
  readonly #bars = new Map<string, Bar>()
  #drawnRows = 0
  #drawnAt = Number.NEGATIVE_INFINITY
  #status = ''

  constructor(mode: ProgressMode, output: Output, paint: Paint, now: () => number = () => performance.now()) {
    this.mode = mode
    this.#output = output
    this.#paint = paint
    this.#now = now
  }

  /** Listens to a copy: bars, and a line for each blob. */
  readonly onCopy = (event: CopyEvent): void => {
    if (this.mode === 'none') return
    this.onBytes(event)
    const { digest, size } = event.descriptor
    if (event.type === 'blob-end')
      this.line(`${shortDigest(digest)}  ${WORDS[event.outcome]}  ${formatBytes(size)}`)
    else if (event.type === 'manifest-end' && event.outcome === 'copied')
      this.line(`${shortDigest(digest)}  manifest  ${formatBytes(size)}`)
  }

  /** Listens to one of many copies: bars alone. */
  readonly onBytes = (event: CopyEvent): void => {
    if (this.mode !== 'bars') return
    const { digest, size } = event.descriptor
    if (event.type === 'bytes') this.advance(digest, event.bytes)
    else if (event.type === 'blob-start') this.start(digest, shortDigest(digest), size)
    else if (event.type === 'blob-restart') this.restart(digest, event.from)
    else if (event.type === 'blob-end') this.end(digest)
  }

  start(key: string, label: string, total: number): void {
    this.#bars.set(key, { label, total, done: 0 })
    this.#redraw()
  }

  advance(key: string, bytes: number): void {
    const bar = this.#bars.get(key)
    if (!bar) return
    bar.done += bytes
    this.#redraw()
  }

  restart(key: string, from: number): void {
    const bar = this.#bars.get(key)
    if (bar) bar.done = from
  }

  /** Ends a bar; what became of it may be a line that stays. */
  end(key: string, line?: string): void {
    this.#bars.delete(key)
    if (line !== undefined) this.line(line)
  }

  /** A line that stays. */
  line(text: string): void {
    if (this.mode === 'none') return
    this.#erase()
    this.#output.note(text)
    if (this.mode === 'bars') this.#redraw(true)
  }

  /** The one line below the bars that says how far the whole is. Only on a terminal. */
  status(text: string): void {
    this.#status = text
    this.#redraw()
  }

  /** Takes the bars away: to be called before anything else is written, and at the end. */
  stop(): void {
    this.#bars.clear()
    this.#status = ''
    this.#erase()
  }

  #redraw(now = false): void {
    if (this.mode !== 'bars') return
    if (!now && this.#now() - this.#drawnAt < REDRAW_MS) return
    const { columns, rows } = this.#output.terminal() ?? { columns: 80, rows: 24 }
    const room = Math.max(1, rows - ROWS_KEPT)
    const bars = [...this.#bars.values()]
    const lines = bars.slice(0, room).map((bar) => this.#bar(bar, columns))
    if (bars.length > room) lines.push(`and ${count(bars.length - room, 'more transfer')}`.slice(0, columns))
    if (this.#status !== '') lines.push(this.#status.slice(0, columns))
    const text = lines.map((line) => `${line}\n`).join('')
    this.#output.draw(this.#eraser() + text)
    this.#drawnRows = lines.length
    this.#drawnAt = this.#now()
  }

  #bar({ label, total, done }: Bar, columns: number): string {
    const share = total === 0 ? 1 : Math.min(1, done / total)
    const full = Math.round(share * BAR_CHARACTERS)
    const sizes = `${formatBytes(done)} / ${formatBytes(total)}`
    if (columns < label.length + sizes.length + BAR_CHARACTERS + 8)
      return `${label} ${sizes}`.slice(0, columns)
    const bar = this.#paint('cyan', '='.repeat(full)) + ' '.repeat(BAR_CHARACTERS - full)
    return `${label} [${bar}] ${sizes}`
  }

  #erase(): void {
    if (this.#drawnRows > 0) this.#output.draw(this.#eraser())
    this.#drawnRows = 0
  }

  /** Up to the first line that was drawn, and everything below it away. */
  #eraser(): string {
    return this.#drawnRows > 0 ? `\u001b[${this.#drawnRows}A\u001b[0J` : ''
  }
}
