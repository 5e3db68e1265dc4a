// `jobs`: work in the background.
import { section } from '#lib/settings/node.ts'
import { byteAmount, flag, whole } from '#lib/settings/values.ts'
import { schedule } from './schedule.ts'

export const JOBS = section('Work in the background: collecting garbage, retention, scrubbing.', {
  concurrency: whole('Jobs at the same time in this process. `0` leaves them to other processes.', '', {
    initial: 2,
    max: 64,
  }),
})

export const RETENTION = section(
  'When the retention rules of projects are applied. `stowage admin retention` makes them. Not part of registry:2.',
  {
    enabled: flag('Applies them by schedule; `stowage admin retention run` does so at any time.', {
      initial: true,
    }),
    schedule: schedule('When: before garbage is collected.', '0 2 * * *'),
  },
)

export const SCRUB = section(
  'Hashes what is stored, to find what a disk has damaged before somebody needs it. Not part of registry:2.',
  {
    enabled: flag('Does so by schedule; `stowage scrub` at any time.', { initial: true }),
    schedule: schedule('When a pass over all blobs begins.', '0 4 * * 0'),
    rate: byteAmount('Bytes in a second that are read for it; `0` for as fast as it goes.', {
      initial: 20_000_000,
    }),
  },
)
