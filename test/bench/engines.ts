// Stowage on PostgreSQL against Stowage on SQLite: what it costs our own process to ask another for the facts.
import { postgresAbsent, startPostgres } from '../processes/postgres-server.ts'
import { compare, type Row } from './comparison.ts'
import { CONNECTIONS_MAX } from './load/registry-client.ts'
import type { Effort, Scenario } from './scenario.ts'
import { pushSmallImages } from './scenarios/push-small.ts'
import { readScenarios } from './scenarios/reads.ts'
import { openSide, withSides } from './sides.ts'

export const ENGINE_HEADINGS = [
  ...['Operation', 'CPU PostgreSQL / SQLite', 'ratio (required)'],
  ...['rate PostgreSQL / SQLite', 'ratio (required)', ''],
]
/** As an operator's: it keeps what it acknowledged. */
const DURABLE = [
  'fsync=on',
  'synchronous_commit=on',
  'full_page_writes=on',
  'autovacuum=on',
  'shared_buffers=128MB',
]
/** So many small images are pushed to each side in one measurement of the full benchmark. */
const IMAGES = 2_000
const NO_LIMIT = Number.POSITIVE_INFINITY

function pushMany(images: number): Scenario {
  const load = (round: number, side: Parameters<Scenario['load']>[0]) =>
    pushSmallImages(side, 'bench/engines', `round${round}`, images, CONNECTIONS_MAX)
  return {
    name: 'push-small',
    title: `push of a small image, ${CONNECTIONS_MAX} at once, ${images.toLocaleString('en-US')} images`,
    required: { cpuAtMost: NO_LIMIT, rateAtLeast: 0.5 },
    cpuUnit: 'ms',
    rateUnit: 'images',
    prepare: async () => {},
    warmUp: async (side) => void (await pushSmallImages(side, 'bench/engines', 'warm', 100, CONNECTIONS_MAX)),
    load: (side, _, round) => load(round, side),
  }
}

/** Only those whose names begin with one of `names`. */
export async function compareEngines(
  effort: Effort,
  names: readonly string[],
  say: (row: Row) => void,
): Promise<Row[]> {
  const absent = postgresAbsent()
  if (absent) throw new Error(absent)
  const reads = readScenarios()
    .filter(({ name }) => name === 'manifest-get-tag')
    .map((scenario) => ({ ...scenario, required: { cpuAtMost: 2, rateAtLeast: 0 } }))
  const chosen = [...reads, pushMany(effort.rounds > 2 ? IMAGES : effort.imagesPerRound)].filter(({ name }) =>
    names.some((wanted) => name.startsWith(wanted)),
  )
  await using server = await startPostgres(DURABLE)
  const database = { url: await server.createDatabase() }
  const parent = effort.workspace
  const opening = [
    () => openSide('postgres', 'stowage', { parent, config: { database } }),
    () => openSide('sqlite', 'stowage', { parent }),
  ]
  return await withSides(opening, async (ours, theirs) => {
    const rows: Row[] = []
    if (!ours || !theirs) return rows
    for (const scenario of chosen) {
      const row = await compare(scenario, ours, theirs, effort)
      say(row)
      rows.push(row)
    }
    return rows
  })
}
