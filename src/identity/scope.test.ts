import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Access, RepositoryAction } from '#identity/action.ts'
import {
  formatGrants,
  formatScopes,
  parseScopes,
  SCOPE_CHARS_MAX,
  SCOPES_MAX,
  wantedActions,
} from '#identity/scope.ts'
import { parseRepositoryName } from '#oci/reference.ts'

const name = fc
  .array(fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,4})?$/), { minLength: 1, maxLength: 5 })
  .map((components) => parseRepositoryName(components.join('/')))
const actions = fc.uniqueArray(fc.constantFrom<RepositoryAction>('pull', 'push', 'delete'), { minLength: 1 })
const access = fc.oneof(
  fc.record({ type: fc.constant('repository' as const), name, actions }),
  fc.constantFrom<Access>({ type: 'catalog' }, { type: 'version' }),
)

/** As token servers read it: spaces divide scopes, the first and the last colon divide one. */
function read(scopes: string) {
  return scopes.split(' ').flatMap((scope) => {
    if (scope === '') return []
    const [first, last] = [scope.indexOf(':'), scope.lastIndexOf(':')]
    return [
      {
        type: scope.slice(0, first),
        name: scope.slice(first + 1, last),
        actions: scope.slice(last + 1).split(','),
      },
    ]
  })
}

test('a token server reads from a scope exactly what was wanted', () => {
  fc.assert(
    fc.property(fc.array(access, { maxLength: 4 }), (wanted) => {
      const expected = wanted.flatMap((one) => {
        if (one.type === 'repository')
          return [{ type: 'repository', name: String(one.name), actions: [...one.actions] }]
        return one.type === 'catalog' ? [{ type: 'registry', name: 'catalog', actions: ['*'] }] : []
      })
      assert.deepEqual(read(formatScopes(wanted)), expected)
    }),
  )
})

test('a scope and the detail of a refusal name the same actions', () => {
  fc.assert(
    fc.property(fc.array(access, { maxLength: 4 }), (wanted) => {
      const fromScope = read(formatScopes(wanted)).flatMap((scope) =>
        scope.actions.map((action) => ({ Type: scope.type, Class: '', Name: scope.name, Action: action })),
      )
      assert.deepEqual(wantedActions(wanted), fromScope)
    }),
  )
})

test('a scope that we wrote is read as what was wanted', () => {
  const distinct = fc.uniqueArray(access, {
    maxLength: 6,
    selector: (one) => (one.type === 'repository' ? one.name : `:${one.type}`),
  })
  fc.assert(
    fc.property(distinct, (wanted) => {
      const repositories = wanted.filter((one) => one.type === 'repository')
      const catalog = wanted.filter((one) => one.type === 'catalog')
      assert.deepEqual(parseScopes(formatScopes(wanted)), [
        ...repositories.map(({ type, name, actions }) => ({ type, name, actions: [...actions] })),
        ...catalog.map(() => ({ type: 'registry', name: 'catalog', actions: ['*'] })),
      ])
    }),
  )
})

test('what a reply says was granted is read as the same grants', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300 }), (text) => {
      const granted = parseScopes(text)
      assert.deepEqual(parseScopes(formatGrants(granted)), granted)
    }),
  )
})

for (const [text, expected] of [
  ['repository:host:5000/a:pull', [['host:5000/a', ['pull']]]],
  ['repository(plugin):a/b:pull,push', [['a/b', ['pull', 'push']]]],
  ['repository:a:*', [['a', ['pull', 'push', 'delete']]]],
  ['repository:a:pull,create,pull', [['a', ['pull']]]],
  [
    'repository:a:pull  repository:b:pull repository:a:push',
    [
      ['a', ['pull', 'push']],
      ['b', ['pull']],
    ],
  ],
  ['registry:catalog:*', [['catalog', ['*']]]],
  ['registry:catalog:pull registry:other:*', []],
  ['repository:a:create', []],
  ['repository:a: repository::pull repository:pull repository pull:a :: :', []],
  ['artifact:a:pull repository(:a:pull repository():a:pull REPOSITORY:a:pull', []],
  ['repository:__proto__:pull', [['__proto__', ['pull']]]],
  ['', []],
] as const)
  test(`the scope ${JSON.stringify(text)} asks for ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(
      parseScopes(text).map(({ name, actions }) => [name, actions]),
      expected,
    )
  })

test('whatever text comes is read without a throw, and asks for known actions of a bounded number of names', () => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('repository', 'registry', 'catalog', ':', ',', '*', ' ', 'pull', 'push', '(x)'),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      for (const { type, name, actions } of parseScopes(pieces.join(''))) {
        assert.ok(name.length > 0 && actions.length > 0 && !name.includes(' '))
        const known = type === 'registry' ? ['*'] : ['pull', 'push', 'delete']
        assert.deepEqual(
          actions.filter((action) => !known.includes(action)),
          [],
        )
      }
    }),
  )
})

test('what exceeds the limits is not read, and no name is read in half', () => {
  const many = Array.from({ length: SCOPES_MAX + 50 }, (_, n) => `repository:r${n}:pull`)
  assert.equal(parseScopes(many.join(' ')).length, SCOPES_MAX)
  assert.equal(parseScopes([...many, 'registry:catalog:*'].join(' ')).length, SCOPES_MAX)
  assert.deepEqual(parseScopes(`repository:${'a'.repeat(SCOPE_CHARS_MAX)}:pull`), [])
  const cut = `repository:a:pull ${'x'.repeat(SCOPE_CHARS_MAX - 45)} repository:team/app:pull:pull,push`
  assert.ok(cut.length > SCOPE_CHARS_MAX)
  assert.deepEqual(
    parseScopes(cut).map(({ name }) => name),
    ['a'],
  )
  assert.deepEqual(parseScopes(' :,'.repeat(2_000_000)), [])
})
