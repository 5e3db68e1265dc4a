// `health`: what must be well for the registry to call itself healthy.
import { listOf, mapOf, section } from '#lib/settings/node.ts'
import { duration, flag, path, text, whole } from '#lib/settings/values.ts'
import { HEADERS } from './http-keys.ts'

const interval = duration('Time between two checks.', { initial: 10_000, zeroIsDefault: true })
const timeout = duration('The answer must have come by then.', { initial: 5000, zeroIsDefault: true })
const threshold = whole('Failures in a row that make it unhealthy.', '', { initial: 1, defaultUpTo: 0 })

function isHttp(value: string): boolean {
  return /^https?:$/.test(URL.parse(value)?.protocol ?? '')
}

export const HEALTH = section(
  'Checks behind `/debug/health`.',
  {
    storagedriver: section('The storage.', {
      enabled: flag('Checks that the storage answers.', { initial: false }),
      interval,
      threshold,
    }),
    file: listOf(
      'Unhealthy while the file exists.',
      section('', { file: path('The file.'), interval, threshold }),
    ),
    http: listOf(
      'Unhealthy while a HEAD of the URL does not answer with the status.',
      section('', {
        uri: text(
          'The URL.',
          {},
          (value) => (isHttp(value) ? undefined : 'must be an http or https URL'),
          'URL',
        ),
        headers: mapOf('Headers of the request.', { ...HEADERS, item: { ...HEADERS.item, secret: true } }),
        statuscode: whole('The status that means well.', '', { initial: 200, max: 599, defaultUpTo: 0 }),
        timeout,
        interval,
        threshold,
      }),
    ),
    tcp: listOf(
      'Unhealthy while the address does not accept a connection.',
      section('', {
        addr: text(
          'The address.',
          {},
          (value) => (/^.+:\d{1,5}$/.test(value) ? undefined : 'must be an address such as db.internal:5432'),
          'host:port',
        ),
        timeout,
        interval,
        threshold,
      }),
    ),
  },
  { fieldNames: { file: 'filecheckers', http: 'httpcheckers', tcp: 'tcpcheckers' } },
)
