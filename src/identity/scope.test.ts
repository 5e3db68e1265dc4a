import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Access, RepositoryAction } from '#identity/action.ts'
import { formatScopes, wantedActions } from '#identity/scope.ts'
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
