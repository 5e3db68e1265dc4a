// `notifications`: registry:2's webhooks.
import { foreign } from '#lib/settings/node.ts'

export const NOTIFICATIONS = foreign(
  'stops',
  'Webhooks. Stops the start when an endpoint is not `disabled`.',
  {
    events: foreign('ignored', '', ['includereferences']),
    endpoints: foreign(
      'stops',
      '',
      {
        ...foreign('stops', '', ['name', 'disabled', 'url', 'headers', 'timeout', 'threshold', 'backoff'])
          .keys,
        ignoredmediatypes: foreign('stops', ''),
        ignore: foreign('stops', '', ['mediatypes', 'actions']),
      },
      { list: true },
    ),
  },
  { silent: true, fieldNames: { events: 'eventconfig' } },
)
