// `http`: the address, TLS, what replies carry, and the limits of a connection.
import { parseListenAddress } from '#lib/listen-address.ts'
import { parseNetworkRange } from '#lib/network-range.ts'
import { foreign, listOf, mapOf, section } from '#lib/settings/node.ts'
import { duration, flag, oneOf, path, text, whole } from '#lib/settings/values.ts'
import { TLS_CIPHER_NAMES } from '#lib/tls-cipher-names.ts'

const KiB = 1024

const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

export const HEADERS = listOf(
  '',
  text('A value.', { initial: '' }, (value) =>
    HEADER_VALUE.test(value) ? undefined : 'must be the value of an HTTP header, on one line',
  ),
)

const DEBUG_ADDRESS = text('', {}, (value) =>
  value === '' || parseListenAddress(value)
    ? undefined
    : 'must be an address such as :5001 or 127.0.0.1:5001',
)

function isHttpUrl(value: string): boolean {
  const url = URL.parse(value)
  return (
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    url.username === '' &&
    url.search === '' &&
    url.hash === ''
  )
}

const TLS = section('TLS, when `certificate` is set.', {
  certificate: path('The certificate and its chain, PEM. Read again on SIGHUP.'),
  key: path('The key of the certificate, PEM.'),
  clientcas: listOf('Certificate authorities that clients must be certified by, PEM.', path('A file.')),
  clientauth: oneOf(
    'What is asked of clients when `clientcas` is set.',
    [
      'request-client-cert',
      'require-any-client-cert',
      'verify-client-cert-if-given',
      'require-and-verify-client-cert',
    ],
    { initial: 'require-and-verify-client-cert' },
  ),
  minimumtls: oneOf('The oldest version of TLS that is spoken.', ['tls1.0', 'tls1.1', 'tls1.2', 'tls1.3'], {
    initial: 'tls1.2',
  }),
  ciphersuites: listOf(
    "Cipher suites that are offered, by Go's names (`TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`). Default: the runtime's own.",
    text(
      'A suite.',
      { initial: '' },
      (value) =>
        TLS_CIPHER_NAMES.includes(value)
          ? undefined
          : 'must be a cipher suite by its Go name, such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
      'name',
    ),
  ),
  letsencrypt: foreign(
    'stops',
    "Let's Encrypt, as soon as `hosts`, `email` or `cachefile` is set.",
    ['cachefile', 'email', 'hosts', 'directoryurl'],
    { silent: true },
  ),
})

const LIMITS = section('What one client may take. Not part of registry:2.', {
  headertimeout: duration(
    'A request must have sent its headers by then, and a form or JSON in as long again.',
    { initial: 10_000 },
  ),
  idletimeout: duration('A transfer without progress for this long is cut.', { initial: 60_000 }),
  keepalivetimeout: duration('An unused connection is kept this long.', { initial: 75_000 }),
  minrate: whole(
    'A transfer slower than this many bytes a second is cut; `0` for no such rule.',
    'BytesPerSec',
    {
      initial: KiB,
    },
  ),
  minratewindow: duration('The time over which `minrate` is measured.', {
    initial: 30_000,
    zeroIsDefault: true,
  }),
  maxconnections: whole('Connections at once; `0` for no limit.', '', { initial: 10_000 }),
  maxheaderbytes: whole('Bytes of the headers of a request.', '', {
    initial: 32 * KiB,
    min: KiB,
    max: 1024 * KiB,
  }),
  maxopenuploads: whole('Uploads that are open at once; the next is answered 429.', '', {
    initial: 10_000,
    min: 1,
  }),
})

export const HTTP = section('The registry over HTTP.', {
  addr: text(
    'The address to listen on: `host:port`, `:port` for every address, or the path of a socket when `net` is `unix`.',
    {
      initial: ':5000',
    },
  ),
  net: oneOf('`tcp`, or `unix` for a socket.', ['tcp', 'unix'], { initial: 'tcp' }),
  host: text(
    'The URL by which clients reach the registry. When it is set, `Location` and `Link` begin with it.',
    {},
    (value) =>
      value === '' || isHttpUrl(value) ? undefined : 'must be a URL such as https://registry.example.com',
    'URL',
  ),
  prefix: text(
    'The path below which everything is served, such as `/registry/`.',
    { initial: '/' },
    (value) =>
      /^\/?[A-Za-z0-9._~/-]*$/.test(value)
        ? undefined
        : 'must be a path such as /registry/ without special characters',
  ),
  secret: text(
    'No effect: the state of an upload is kept here, and clients carry nothing that would need a signature.',
    {
      secret: true,
    },
  ),
  relativeurls: flag(
    '`true`: `Location` and `Link` are paths. `false`: they are URLs made from the request. Not set: paths, unless `host` is set.',
  ),
  workers: whole(
    'Processes that share the port: `1` for one that does everything, `0` for one for each core. Not part of registry:2.',
    '',
    { initial: 1, max: 256 },
  ),
  draintimeout: duration('After SIGTERM, the time that transfers have to finish.', { initial: 10_000 }),
  headers: mapOf('Headers that every reply carries, each with a list of values.', HEADERS),
  trustedproxies: listOf(
    'Addresses and ranges whose `Forwarded` and `X-Forwarded-*` headers count. Not part of registry:2.',
    text(
      'A range.',
      { initial: '' },
      (value) =>
        parseNetworkRange(value) ? undefined : 'must be an address or a range such as 10.0.0.0/8 or fd00::/8',
      'address',
    ),
    ['127.0.0.0/8', '::1/128'],
  ),
  limits: LIMITS,
  tls: TLS,
  debug: section('A second listener, for operators alone.', {
    addr: { ...DEBUG_ADDRESS, about: 'Its address. Not set: there is none.' },
    prometheus: section('Metrics.', {
      enabled: flag('Serves metrics there.', { initial: false }),
      path: text('Their path.', { initial: '/metrics' }, (value) =>
        /^\/[\w./-]*$/.test(value) ? undefined : 'must be a path such as /metrics',
      ),
    }),
  }),
  http2: section('HTTP/2 over TLS.', {
    disabled: flag('Speaks HTTP/1.1 alone.', { initial: false }),
  }),
  h2c: foreign('warns', 'has no effect: clients speak HTTP/1.1 where there is no TLS', ['enabled']),
})
