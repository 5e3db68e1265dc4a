// npm run faults: kills, full disks, failing syncs, signals and locks, against the real server as a process.
import { parseArgs } from 'node:util'
import { DISK_FULL } from './disk-full.ts'
import { FINDING_KINDS, type FindingKind } from './findings.ts'
import { FOLDER_LOCK } from './folder-lock.ts'
import { type KillReport, runKills } from './kill/kill-test.ts'
import { type Part, Skipped } from './part.ts'
import { SIGNALS } from './signals.ts'
import { FAILING_SYNCS } from './syncs/failing.ts'
import { KILLED_CLOSE } from './syncs/killed.ts'
import { SYNC_ORDER } from './syncs/order.ts'

const HELP = `npm run faults -- [options]
  --kills N        how many times the server is killed (100)
  --long           1000 kills
  --seed N         repeats the choices of an earlier run; its number is printed
  --only TEXT      only the parts whose name contains TEXT
`
const KILLS = 100
const KILLS_LONG = 1000

const { values: options } = parseArgs({
  options: {
    kills: { type: 'string' },
    long: { type: 'boolean', default: false },
    seed: { type: 'string' },
    only: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
})

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function wholeNumber(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  if (!/^\d+$/.test(text)) throw new Error(`not a whole number: ${text}`)
  return Number(text)
}

function sayKills({ findings, acknowledged, ...report }: KillReport): void {
  say(`  kills ${report.kills}, restarts ${report.restarts}, requests ${report.requests}`)
  say(
    `  acknowledged: ${acknowledged.manifest} manifests, ${acknowledged.blob} blobs, ${acknowledged.tag} tags, ` +
      `${acknowledged.deleted} deletes; done but cut before the answer: ${report.doneUnanswered}`,
  )
  say(
    `  uploads continued after a kill: ${report.resumed}; left for the sweeper: ${report.leftovers} uploads, ` +
      `${report.unlinked} unlinked blobs`,
  )
  const counts = Object.entries(findings.counts) as [FindingKind, number][]
  say(`  ${counts.map(([kind, count]) => `${FINDING_KINDS[kind]} ${count}`).join(', ')}`)
}

const kills: Part = {
  name: 'kills',
  async run() {
    const seed = wholeNumber(options.seed, Date.now() % 2 ** 32)
    say(`  seed ${seed}`)
    const count = wholeNumber(options.kills, options.long ? KILLS_LONG : KILLS)
    const report = await runKills({ kills: count, seed, say })
    sayKills(report)
    if (report.findings.total > 0) throw new Error(`with --seed ${seed}:\n${report.findings.told.join('\n')}`)
  },
}

async function runPart(part: Part): Promise<'ok' | 'skipped' | 'failed'> {
  const start = performance.now()
  say(part.name)
  let outcome: 'ok' | 'skipped' | 'failed' = 'ok'
  try {
    await part.run(say)
  } catch (error) {
    outcome = error instanceof Skipped ? 'skipped' : 'failed'
    say(`  ${error instanceof Skipped ? error.message : error instanceof Error ? error.stack : error}`)
  }
  say(`  ${outcome}, ${((performance.now() - start) / 1000).toFixed(1)} s`)
  return outcome
}

async function main(): Promise<void> {
  if (options.help) {
    say(HELP)
    return
  }
  const start = performance.now()
  const counts = { ok: 0, skipped: 0, failed: 0 }
  for (const part of [
    ...FOLDER_LOCK,
    ...SIGNALS,
    SYNC_ORDER,
    KILLED_CLOSE,
    ...FAILING_SYNCS,
    ...DISK_FULL,
    kills,
  ]) {
    if (part.name.includes(options.only)) counts[await runPart(part)] += 1
  }
  const seconds = Math.round((performance.now() - start) / 1000)
  say(`${counts.ok} ok, ${counts.skipped} skipped, ${counts.failed} failed, ${seconds} s`)
  process.exitCode = counts.failed > 0 || counts.ok + counts.skipped === 0 ? 1 : 0
}

// What is mounted is unmounted at the exit, which an unhandled signal would skip.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    process.stderr.write(`ended by ${signal}\n`)
    process.exit(1)
  })
}
await main()
