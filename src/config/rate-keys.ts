// `ratelimits`: how much clients may ask of the registry in a while.
import { parseNetworkRange } from '#lib/network-range.ts'
import { listOf, section } from '#lib/settings/node.ts'
import { rate, text } from '#lib/settings/values.ts'

const requests = () => rate('Requests.', 'things')
const bytes = () => rate('Bytes of blobs and manifests, in both directions.', 'bytes')
const pulls = () =>
  rate(
    'Manifests of images that are fetched, counted as on Docker Hub: a HEAD and an index are free.',
    'things',
  )

export const RATES = section(
  'What a client may do in a while; who did more is answered 429, and told when to come again. All processes count together. Not part of registry:2.',
  {
    address: section('All that comes from one address, whoever asks. An IPv6 address counts as its /64.', {
      requests: requests(),
      bytes: bytes(),
    }),
    anonymous: section('Who has no login, by address.', {
      requests: requests(),
      bytes: bytes(),
      pulls: pulls(),
    }),
    account: section('Each account: a user with all his keys, a robot.', {
      requests: requests(),
      bytes: bytes(),
      pulls: pulls(),
    }),
    exempt: section('Who is not limited.', {
      networks: listOf(
        'Addresses and networks whose clients have no limits at all.',
        text(
          'An address or a range: `10.0.0.0/8`.',
          { initial: '' },
          (value) =>
            parseNetworkRange(value)
              ? undefined
              : 'must be an address or a range such as 10.0.0.0/8 or fd00::/8',
          'address or range',
        ),
      ),
      accounts: listOf(
        'Users and robots without limits of their own; those of their address hold.',
        text('A name.', { initial: '' }),
      ),
    }),
  },
)
