// What authentication, rights and quotas cost: our server against itself without them.
import { postgresAbsent, startPostgres } from '../processes/postgres-server.ts'
import type { ServerOptions } from '../processes/registry-server.ts'
import { type AccessSizes, IMAGE, openPlain, openWithUsers, tokenFor } from './access-sides.ts'
import { compare, type Row } from './comparison.ts'
import { getMany } from './load/generators.ts'
import type { Effort, Scenario, Side } from './scenario.ts'
import { pushSmallImages } from './scenarios/push-small.ts'
import { withSides } from './sides.ts'

export const ACCESS_HEADINGS = [
  ...['Operation', 'CPU with / without', 'ratio (required)'],
  ...['rate with / without', 'ratio (required)', ''],
]
const NO_LIMIT = Number.POSITIVE_INFINITY
/** So many clients push at once where quotas are counted. */
const PUSHES_AT_ONCE = 16
/** Far from full: what everybody meets, and not what happens at the limit. */
const QUOTA = {
  project: { bytes: '10TB', repositories: 100_000, tags: 10_000_000 },
  registry: { bytes: '100TB' },
}

/** A request that is made again and again, with its credentials. */
interface Asked {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

export async function compareAccess(
  effort: Effort,
  sizes: AccessSizes,
  say: (row: Row) => void,
): Promise<Row[]> {
  const parent = effort.workspace
  const rows: Row[] = []
  const add = async (scenario: Scenario, ours: Side | undefined, theirs: Side | undefined) => {
    if (!ours || !theirs) throw new Error('a side is missing')
    const row = await compare(scenario, ours, theirs, effort)
    say(row)
    rows.push(row)
  }
  await withSides([() => openWithUsers(parent), () => openPlain(parent)], async (ours, theirs) => {
    await add(
      manifestGet('token', 'manifest GET by tag, with a token', { cpuAtMost: 1.3, rateAtLeast: 0 }),
      ours,
      theirs,
    )
    await add(
      manifestGet('key', 'manifest GET by tag, with an API key', { cpuAtMost: NO_LIMIT, rateAtLeast: 0 }),
      ours,
      theirs,
    )
  })
  const title = `${sizes.projects.toLocaleString('en-US')} projects of ${sizes.members} members against one`
  await withSides([() => openWithUsers(parent, sizes), () => openWithUsers(parent)], async (ours, theirs) => {
    const flat = { cpuAtMost: 1.2, rateAtLeast: 0 }
    await add(tokenIssue(`a token for an API key, ${title}`, flat), ours, theirs)
    await add(manifestGet('key', `manifest GET with an API key, ${title}`, flat), ours, theirs)
  })
  return rows
}

/** There a round is short, and what a quota costs is less than what a disk does between two rounds. */
export const SQLITE_ROUNDS_FACTOR = 3

/** Many pushes into one project at once, with quotas that are counted and without. */
export async function compareQuotas(effort: Effort, say: (row: Row) => void): Promise<Row[]> {
  const parent = effort.workspace
  const rows: Row[] = []
  const measure = async (
    engine: string,
    rounds: number,
    configOf: () => Promise<ServerOptions['config']>,
  ) => {
    const plain = await configOf()
    const counted = { ...(await configOf()), quotas: QUOTA }
    await withSides(
      [() => openPlain(parent, counted), () => openPlain(parent, plain)],
      async (ours, theirs) => {
        if (!ours || !theirs) return
        const row = await compare(quotaPush(engine), ours, theirs, { ...effort, rounds })
        say(row)
        rows.push(row)
      },
    )
  }
  await measure('SQLite', effort.rounds * SQLITE_ROUNDS_FACTOR, async () => ({}))
  const absent = postgresAbsent()
  if (absent) throw new Error(absent)
  await using server = await startPostgres(['fsync=on', 'synchronous_commit=on', 'shared_buffers=128MB'])
  await measure('PostgreSQL', effort.rounds, async () => ({
    database: { url: await server.createDatabase() },
  }))
  return rows
}

function quotaPush(engine: string): Scenario {
  return {
    name: `quota-${engine.toLowerCase()}`,
    title: `push of a small image, ${PUSHES_AT_ONCE} at once into one project, with quotas, on ${engine}`,
    required: { cpuAtMost: NO_LIMIT, rateAtLeast: 0.9 },
    cpuUnit: 'ms',
    rateUnit: 'images',
    prepare: async () => {},
    warmUp: async (side) => void (await pushSmallImages(side, 'bench/quota', 'warm', 100, PUSHES_AT_ONCE)),
    load: (side, effort, round) =>
      pushSmallImages(side, 'bench/quota', `round${round}`, effort.imagesPerRound, PUSHES_AT_ONCE),
  }
}

/** Where a side has no users it is asked the same without credentials. */
function manifestGet(by: 'token' | 'key', title: string, required: Scenario['required']): Scenario {
  return asking(`manifest-${by}`, title, required, async (side) => {
    const path = `/v2/${IMAGE}/manifests/latest`
    const { login } = side
    if (!login) return { path, headers: {} }
    return { path, headers: by === 'token' ? await tokenFor(side, login) : login }
  })
}

function tokenIssue(title: string, required: Scenario['required']): Scenario {
  return asking('token-issue', title, required, async (side) => {
    const path = `/token?service=stowage&scope=repository:${IMAGE}:pull,push`
    return { path, headers: side.login ?? {} }
  })
}

function asking(
  name: string,
  title: string,
  required: Scenario['required'],
  prepare: (side: Side) => Promise<Asked>,
): Scenario {
  const asked = new WeakMap<Side, Asked>()
  const many = (side: Side, seconds: number) => {
    const { path, headers } = asked.get(side) ?? { path: '', headers: {} }
    return getMany(`${side.server.url}${path}`, seconds, headers)
  }
  return {
    name,
    title,
    required,
    cpuUnit: 'us',
    rateUnit: 'requests',
    async prepare(side) {
      asked.set(side, await prepare(side))
    },
    warmUp: async (side, effort) => void (await many(side, effort.warmUpSec)),
    load: (side, effort) => many(side, effort.loadSec),
  }
}
