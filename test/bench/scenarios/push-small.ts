// Small images that share nothing, eight at once: what a build farm does all day.

import { pushSmallImage, smallImage } from '../load/images.ts'
import { inParallel } from '../load/registry-client.ts'
import type { Effort, Load, Scenario, Side } from '../scenario.ts'

export const SMALL_PUSHES_AT_ONCE = 8
const WARM_UP_IMAGES = 24

/** Pushes `count` new images into one repository under tags that begin with `prefix`. */
export async function pushSmallImages(
  side: Side,
  repository: string,
  prefix: string,
  count: number,
  atOnce = SMALL_PUSHES_AT_ONCE,
): Promise<Load> {
  const start = performance.now()
  await inParallel(count, atOnce, (index) =>
    pushSmallImage(side.client, repository, `${prefix}-${index}`, smallImage()),
  )
  return { operations: count, seconds: (performance.now() - start) / 1000 }
}

export const pushSmall: Scenario = {
  name: 'push-small',
  title: 'push of a small image, 8 at once',
  required: { cpuAtMost: 0.5, rateAtLeast: 1.8 },
  cpuUnit: 'ms',
  rateUnit: 'images',

  async prepare(): Promise<void> {},

  async warmUp(side: Side): Promise<void> {
    await pushSmallImages(side, 'bench/push-small', 'warm', WARM_UP_IMAGES)
  },

  load: (side: Side, effort: Effort, round: number): Promise<Load> =>
    pushSmallImages(side, 'bench/push-small', `round${round}`, effort.imagesPerRound),
}
