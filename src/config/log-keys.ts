// `log`: what is written about each request, and how.
import { foreign, mapOf, section } from '#lib/settings/node.ts'
import { flag, oneOf, text } from '#lib/settings/values.ts'

export const LOG = section('Logging.', {
  accesslog: section('One line a request.', {
    disabled: flag('Leaves the line of each request out of the log.', { initial: false }),
  }),
  level: oneOf('The least level that is written.', ['error', 'warn', 'info', 'debug'], { initial: 'info' }),
  formatter: oneOf('How a line looks.', ['text', 'json', 'logstash'], { initial: 'text' }),
  fields: mapOf('Fields that every line carries.', text('A field.', { initial: '' })),
  hooks: foreign(
    'warns',
    'has no effect: mail on errors is not available; watch the log or the metrics instead',
    {
      disabled: foreign('warns', ''),
      type: foreign('warns', ''),
      levels: foreign('warns', ''),
      options: foreign('warns', '', {
        smtp: foreign('warns', '', ['addr', 'username', 'password', 'insecure']),
        from: foreign('warns', ''),
        to: foreign('warns', ''),
      }),
    },
    { list: true, fieldNames: { options: 'mailoptions' } },
  ),
  reportcaller: foreign('warns', 'has no effect: the calling function is not part of the log'),
})
