// What a page, a push and a start cost when the store holds 100,000 tags or repositories, against 1,000 or none.
import { cpuSecondsOf, untilQuiet } from '../../processes/usage.ts'
import { median } from '../comparison.ts'
import { getMany } from '../load/generators.ts'
import { EMPTY_INDEX } from '../load/images.ts'
import { CONNECTIONS_MAX, inParallel } from '../load/registry-client.ts'
import type { Effort, Side } from '../scenario.ts'
import { pushSmallImages } from '../scenarios/push-small.ts'
import type { Finding } from './finding.ts'
import { restartTimes } from './start-up.ts'

const FEW = 1_000
/** Work put off while seeding, the tree of link files above all, must be over before anything is measured. */
const SEED_QUIET_TIMEOUT_MS = 15 * 60_000
const QUIET_TIMEOUT_MS = 20_000
const REPEATS = 3
const TAGS_REPOSITORY = 'large/tags'

function padded(index: number): string {
  return String(index).padStart(6, '0')
}

/** Adds tags `from`..`to` of one repository and as many repositories, each holding an empty index. */
async function seed(side: Side, from: number, to: number): Promise<void> {
  const { bytes, type } = EMPTY_INDEX
  await inParallel(to - from, CONNECTIONS_MAX, async (index) => {
    const name = padded(from + index)
    await side.client.pushManifest(TAGS_REPOSITORY, name, bytes, type)
    await side.client.pushManifest(`crowd/r${name}`, 'latest', bytes, type)
  })
  if (!(await untilQuiet(side.server.process.pid, SEED_QUIET_TIMEOUT_MS))) {
    throw new Error(`the registry was still busy ${SEED_QUIET_TIMEOUT_MS / 60_000} minutes after seeding`)
  }
}

/** Server CPU in microseconds for one operation; the median of a few measurements. */
async function cpuMicroseconds(
  side: Side,
  load: (repeat: number) => Promise<{ operations: number }>,
): Promise<number> {
  const { pid } = side.server.process
  const costs: number[] = []
  for (let repeat = 0; repeat <= REPEATS; repeat++) {
    const before = cpuSecondsOf(pid)
    const { operations } = await load(repeat)
    await untilQuiet(pid, QUIET_TIMEOUT_MS)
    // The first one only warms up.
    if (repeat > 0) costs.push(((cpuSecondsOf(pid) - before) * 1e6) / operations)
  }
  return median(costs)
}

interface Costs {
  readonly page: Readonly<Record<string, number>>
  readonly push: number
}

/** Pages are taken at the beginning and deep inside, where a bad index shows. */
async function costsAt(side: Side, effort: Effort, count: number): Promise<Costs> {
  const middle = padded(count / 2)
  const pages = {
    'first page of tags/list': `/v2/${TAGS_REPOSITORY}/tags/list?n=100`,
    'page of tags/list from the middle': `/v2/${TAGS_REPOSITORY}/tags/list?n=100&last=${middle}`,
    'first page of _catalog': '/v2/_catalog?n=100',
    'page of _catalog from the middle': `/v2/_catalog?n=100&last=crowd/r${middle}`,
  }
  const page: Record<string, number> = {}
  for (const [title, path] of Object.entries(pages)) {
    page[title] = await cpuMicroseconds(side, () => getMany(`${side.server.url}${path}`, effort.loadSec))
  }
  const push = await cpuMicroseconds(side, (repeat) =>
    pushSmallImages(side, TAGS_REPOSITORY, `push-${count}-${repeat}`, effort.imagesPerRound),
  )
  return { page, push }
}

function growth(title: string, few: number, many: number, atMost: number): Finding {
  return {
    title,
    value: many / few,
    unit: 'x',
    atMost,
    note: `${Math.round(few)} us, then ${Math.round(many)} us of CPU`,
  }
}

/** A push must cost the same; what two measurements of the same thing differ by is granted. */
const SAME = 1.15

/** @param count how many tags and repositories are many: 100,000 for the figures that are required */
export async function measureLargeStore(
  side: Side,
  effort: Effort,
  count: number,
  say: (line: string) => void,
): Promise<Finding[]> {
  const [fewText, manyText] = [FEW, count].map((value) => value.toLocaleString('en-US'))
  const emptyPush = await cpuMicroseconds(side, (repeat) =>
    pushSmallImages(side, TAGS_REPOSITORY, `push-0-${repeat}`, effort.imagesPerRound),
  )
  await seed(side, 0, FEW)
  const few = await costsAt(side, effort, FEW)
  say(`adding ${manyText} tags and as many repositories`)
  const seedStart = performance.now()
  await seed(side, FEW, count)
  say(`that took ${Math.round((performance.now() - seedStart) / 1000)} s`)
  const many = await costsAt(side, effort, count)
  const seconds = await restart(side)
  return [
    ...Object.entries(few.page).map(([title, cost]) =>
      growth(`${title}: ${manyText} against ${fewText}`, cost, many.page[title] ?? Number.NaN, 1.5),
    ),
    growth(`push of a small image: ${manyText} tags against none`, emptyPush, many.push, SAME),
    {
      title: `start to first 200: ${manyText} tags and repositories`,
      value: seconds,
      unit: 's',
      atMost: 1.5,
      note: 'median of several starts',
    },
  ]
}

/** Restarts in place: the side goes on pointing at the process that serves it, so that closing it ends the right one. */
async function restart(side: Side): Promise<number> {
  const { server, seconds } = await restartTimes(side.server)
  side.server = server
  return seconds
}
