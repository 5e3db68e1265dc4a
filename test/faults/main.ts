// npm run faults: kills, full disks and stops, against the real server as a process. Ends with 1 when anything was lost.
import { parseArgs } from 'node:util'
import { diskFullRun } from './disk-full.ts'
import { killRun } from './kill.ts'
import { stopsRun } from './stops.ts'

const USAGE = `usage: npm run faults -- [options]
  --kills N   how often the server is killed (100)
  --long      1,000 kills
  --seed N    repeats a run
`

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string' },
    long: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

function tell(line: string): void {
  process.stdout.write(`${line}\n`)
}

async function main(): Promise<number> {
  const kills = values.long ? 1_000 : Number(values.kills)
  const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed)
  const began = performance.now()
  tell(`seed ${seed}`)
  const stops = await stopsRun()
  tell(`stops: ${stops.length} faults`)
  const disk = await diskFullRun(seed)
  tell(
    disk.skipped
      ? `full disk: skipped, ${disk.skipped}`
      : `full disk: ${disk.stored} blobs stored, ${disk.refused} refused, ${disk.faults.length} faults`,
  )
  const kill = await killRun(kills, seed, tell)
  tell(
    `${kills} kills: ${kill.pushes} pushes acknowledged, ${kill.manifests} manifests and ${kill.blobs} blobs checked, ` +
      `${kill.continued} uploads continued, ${kill.faults.length} lost, corrupt or dangling`,
  )
  const faults = [...stops, ...disk.faults, ...kill.faults]
  for (const fault of faults.slice(0, 50)) tell(`FAULT ${fault}`)
  tell(`${Math.round((performance.now() - began) / 1_000)} s`)
  return faults.length === 0 ? 0 : 1
}

if (values.help) tell(USAGE)
else process.exitCode = await main()
