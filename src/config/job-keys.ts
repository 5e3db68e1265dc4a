// `jobs`: work in the background.
import { section } from '#lib/settings/node.ts'
import { whole } from '#lib/settings/values.ts'

export const JOBS = section('Work in the background: collecting garbage, retention, scrubbing.', {
  concurrency: whole('Jobs at the same time in this process. `0` leaves them to other processes.', '', {
    initial: 2,
    max: 64,
  }),
})
