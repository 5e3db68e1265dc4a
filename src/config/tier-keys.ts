// `storage.tiers`: a cold store behind the folder of the blobs.
import { optionalSection, section } from '#lib/settings/node.ts'
import { decimal, duration, flag, path, whole } from '#lib/settings/values.ts'
import { S3 } from './s3-keys.ts'
import { schedule } from './schedule.ts'

const HOUR_MS = 3_600_000

export const TIERS = optionalSection(
  'Moves blobs that nobody pulls from `storage.filesystem` to a cheaper store. `stowage tier plan` tells what it is worth.',
  {
    cold: section(
      'Where they go. Exactly one.',
      {
        filesystem: optionalSection('A second folder, on another disk.', {
          rootdirectory: path('The folder.'),
        }),
        s3: { ...S3, about: 'A bucket, of this registry alone: the keys of `storage.s3`.' },
      },
      { choice: true },
    ),
    moveafter: duration('A blob that was neither pushed nor pulled for so long goes down.', {
      initial: 720 * HOUR_MS,
    }),
    minsize: whole('Smaller blobs stay.', 'Bytes', { initial: 128 * 1024 }),
    promote: flag('Brings a blob that is pulled up again, behind the pull.', { initial: true }),
    schedule: schedule('When blobs go down.', '@every 24h'),
    prices: section('For `stowage tier plan`, in any currency.', {
      hot: decimal('A GB in the folder for a month.', { initial: 0.08 }),
      cold: decimal('A GB in the cold store for a month.', { initial: 0.023 }),
      read: decimal('A GB that is read back from it.', { initial: 0.09 }),
    }),
  },
)
