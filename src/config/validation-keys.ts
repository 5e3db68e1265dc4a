// `validation`, `catalog` and `tags`: what a manifest must fulfil, and how much one listing returns.

import { goRegExp } from '#lib/go-regexp.ts'
import { foreign, listOf, section } from '#lib/settings/node.ts'
import { flag, oneOf, text, whole } from '#lib/settings/values.ts'

const PATTERN = text(
  'A pattern.',
  { initial: '' },
  (value) => (goRegExp(value) ? undefined : 'must be a regular expression that Go and JavaScript read alike'),
  'pattern',
)

export const VALIDATION = section('What a pushed manifest must fulfil.', {
  disabled: flag('Turns the rules of `validation.manifests` off; `enabled: true` wins over it.', {
    initial: false,
  }),
  enabled: flag('The old opposite of `disabled`.', { initial: false }),
  manifests: section('Rules.', {
    urls: section(
      '`urls` of layers that live elsewhere. Without rules every http and https URL is accepted.',
      {
        allow: listOf('URLs must match one of these.', PATTERN),
        deny: listOf('URLs must match none of these.', PATTERN),
      },
    ),
    indexes: section('Images that an index names.', {
      platforms: oneOf(
        'Which of them must be present: all, none, or those of `platformlist`.',
        ['all', 'none', 'list'],
        {
          initial: 'all',
        },
      ),
      platformlist: listOf(
        'Platforms whose images must be present with `platforms: list`.',
        section('', {
          architecture: text('Such as `amd64`.', { initial: '' }),
          os: text('Such as `linux`.', { initial: '' }),
        }),
      ),
    }),
    sparse: flag('Accepts manifests whose config, layers or children are missing. Not part of registry:2.', {
      initial: false,
    }),
  }),
})

const LISTED_MAX = 1_000_000

export const CATALOG = section('`/v2/_catalog`.', {
  maxentries: whole('The most repositories that one page has.', '', {
    initial: 1000,
    min: Number.MIN_SAFE_INTEGER,
    max: LISTED_MAX,
    defaultUpTo: 0,
  }),
})

export const TAGS = section('`tags/list`.', {
  maxtags: whole('The most tags that one page has.', '', { initial: 1000, max: LISTED_MAX, defaultUpTo: 0 }),
})

export const POLICY = foreign('warns', 'has no effect: any kind of artifact may be pushed', {
  repository: foreign('warns', '', ['classes']),
})
