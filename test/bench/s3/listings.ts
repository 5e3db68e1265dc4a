// The whole catalog, page by page, of many repositories that both servers find in their buckets.
import type { Effort, Load, Scenario, Side } from '../scenario.ts'

const PAGE = 1_000
const ADOPTED_MS_MAX = 20 * 60_000
const LOOK_MS = 500

async function catalog(side: Side): Promise<number> {
  let count = 0
  let path: string | undefined = `/v2/_catalog?n=${PAGE}`
  while (path !== undefined) {
    const response: Response = await fetch(new URL(path, side.server.url))
    const { repositories } = (await response.json()) as { repositories: readonly string[] | null }
    count += repositories?.length ?? 0
    path = /^<([^>]+)>/.exec(response.headers.get('link') ?? '')?.[1]
  }
  return count
}

export function listing(repositories: number): Scenario {
  return {
    name: 'catalog',
    title: `_catalog of ${repositories.toLocaleString('en-US')} repositories, to its end`,
    required: { cpuAtMost: 0.01, rateAtLeast: 100 },
    cpuUnit: 'ms',
    rateUnit: 'catalogs',

    /** What lies in the bucket is known after some seconds. */
    async prepare(side: Side): Promise<void> {
      const deadline = performance.now() + ADOPTED_MS_MAX
      while ((await catalog(side)) < repositories) {
        if (performance.now() > deadline)
          throw new Error(`${side.name} does not list ${repositories} repositories`)
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
      }
    },

    async load(side: Side, _effort: Effort): Promise<Load> {
      const times = side.name === 'stowage' ? 20 : 1
      const start = performance.now()
      for (let time = 0; time < times; time++) await catalog(side)
      return { operations: times, seconds: (performance.now() - start) / 1000 }
    },
  }
}
