// `notifications`: whom registry:2 tells of pushes, pulls and deletes.
import { foreign, listOf, mapOf, section } from '#lib/settings/node.ts'
import { duration, flag, text, whole } from '#lib/settings/values.ts'
import { HEADERS } from './http-keys.ts'

export const NOTIFICATIONS = section(
  'Receivers that are told of pushes, pulls, mounts and deletes, each in order, until they answer: [webhooks](../operate/notifications.md).',
  {
    events: foreign('ignored', 'Notifications list no references.', ['includereferences']),
    endpoints: listOf(
      'The receivers.',
      section('', {
        name: text('Unlike that of any other. How far it has been told is kept under this name.'),
        disabled: flag('Tells it nothing, and keeps nothing for it.', { initial: false }),
        url: text(
          'Where to POST.',
          {},
          (value) =>
            /^https?:$/.test(URL.parse(value)?.protocol ?? '') ? undefined : 'must be an http or https URL',
          'URL',
        ),
        headers: mapOf('Headers of each request, each with a list of values.', {
          ...HEADERS,
          item: { ...HEADERS.item, secret: true },
        }),
        timeout: duration('Longest time for one attempt; 15 s at most.', {
          initial: 1_000,
          zeroIsDefault: true,
        }),
        threshold: whole('Attempts in a row that fail before the first pause.', '', {
          initial: 10,
          defaultUpTo: 0,
          max: 100,
        }),
        backoff: duration('The first pause. Each that follows is twice as long, up to a minute.', {
          initial: 1_000,
          zeroIsDefault: true,
        }),
        ignoredmediatypes: listOf('Media types that it is not told of.', text('A type.', { initial: '' })),
        ignore: section('What it is not told of.', {
          mediatypes: listOf('Media types.', text('A type.', { initial: '' })),
          actions: listOf('`pull`, `push`, `mount` or `delete`.', text('An action.', { initial: '' })),
        }),
      }),
    ),
  },
  { fieldNames: { events: 'eventconfig' } },
)

const HOUR_MS = 3_600_000

export const WEBHOOKS = section(
  'Webhooks of projects, which `stowage admin webhooks` makes. Not part of registry:2.',
  {
    giveup: duration('A receiver is tried for so long; then the delivery is dead, and can be replayed.', {
      initial: 72 * HOUR_MS,
    }),
    kept: duration('How long deliveries are listed that were taken.', { initial: 72 * HOUR_MS }),
    deadkept: duration('How long dead ones can be replayed.', { initial: 720 * HOUR_MS }),
  },
)
