// `outbound`: what this registry may reach for those who give it addresses.
import { isAllowEntry } from '#lib/outbound/outbound-rules.ts'
import { listOf, section } from '#lib/settings/node.ts'
import { path, text } from '#lib/settings/values.ts'

export const OUTBOUND = section(
  'Requests that the registry makes to addresses which its users or their tokens give. Only public addresses are reached, and no proxy is used. Not part of registry:2.',
  {
    allow: listOf(
      'Hosts, domains and ranges that may be reached although they are not public: `gitlab.internal`, `*.corp.example`, `10.1.0.0/16`.',
      text(
        'A host, domain or range.',
        { initial: '' },
        (value) =>
          isAllowEntry(value)
            ? undefined
            : 'must be a host such as gitlab.internal, a domain such as *.corp.example, or a range such as 10.1.0.0/16',
        'host or range',
      ),
    ),
    rootcertbundle: path(
      'Certificates of further authorities, PEM, that servers outside may show. Read at the start.',
    ),
  },
)
