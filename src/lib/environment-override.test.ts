// The rules on a small shape. That they find registry:2's keys is the business of config/load.test.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Field, overrideFromEnvironment, type Shape } from './environment-override.ts'
import type { Tree } from './yaml-tree.ts'

const VALUE: Shape = { kind: 'value' }

function struct(fields: Readonly<Record<string, Shape>>): Shape {
  return {
    kind: 'struct',
    fields: new Map<string, Field>(
      Object.entries(fields).map(([key, shape]) => [key.toUpperCase(), { key, shape }]),
    ),
  }
}

const SHAPE = struct({
  log: struct({ level: VALUE, fields: { kind: 'map', item: VALUE } }),
  http: struct({
    addr: VALUE,
    my_key: VALUE,
    headers: { kind: 'map', item: { kind: 'list', item: VALUE } },
    tls: struct({ clientcas: { kind: 'list', item: VALUE } }),
  }),
  endpoints: { kind: 'list', item: struct({ name: VALUE, url: VALUE }) },
  storage: { kind: 'map', item: { kind: 'any' }, shorthand: true },
})

function overridden(tree: Tree, variables: Readonly<Record<string, string>>) {
  return overrideFromEnvironment(tree, SHAPE, variables, 'APP_')
}

const RULES: readonly {
  readonly rule: string
  readonly tree?: Tree
  readonly set: Readonly<Record<string, string>>
  readonly gives: Tree
}[] = [
  {
    rule: 'a field is replaced',
    tree: { http: { addr: ':1' } },
    set: { APP_HTTP_ADDR: ':2' },
    gives: { http: { addr: ':2' } },
  },
  {
    rule: 'sections on the way are made',
    set: { APP_HTTP_TLS_CLIENTCAS: '[a, b]' },
    gives: { http: { tls: { clientcas: ['a', 'b'] } } },
  },
  {
    rule: 'a section that says null is made',
    tree: { http: null },
    set: { APP_HTTP_ADDR: ':2' },
    gives: { http: { addr: ':2' } },
  },
  { rule: 'case does not matter', set: { APP_http_Addr: ':2' }, gives: { http: { addr: ':2' } } },
  {
    rule: 'the value is YAML',
    set: { APP_HTTP: '{addr: ":2", tls: {clientcas: [x]}}' },
    gives: { http: { addr: ':2', tls: { clientcas: ['x'] } } },
  },
  {
    rule: 'nothing is null',
    tree: { http: { addr: ':1' } },
    set: { APP_HTTP_ADDR: '' },
    gives: { http: { addr: null } },
  },
  {
    rule: 'a parent is applied before its children',
    set: { APP_HTTP_ADDR: ':3', APP_HTTP: '{addr: ":2"}' },
    gives: { http: { addr: ':3' } },
  },
  {
    rule: 'a parent replaces all that the file said below it',
    tree: { storage: { a: { x: '1' }, delete: { enabled: 'true' } } },
    set: { APP_STORAGE: 'b', APP_STORAGE_B_X: '2' },
    gives: { storage: { b: { x: '2' } } },
  },
  {
    rule: 'a bare word in the file makes room for a child',
    tree: { storage: 'a' },
    set: { APP_STORAGE_DELETE_ENABLED: 'true' },
    gives: { storage: { a: {}, delete: { enabled: 'true' } } },
  },
  {
    rule: 'a new key of a map is in lower case',
    set: { 'APP_HTTP_HEADERS_X-BAR': '[b]' },
    gives: { http: { headers: { 'x-bar': ['b'] } } },
  },
  {
    rule: 'a key that is there is reused, whatever its case',
    tree: { http: { headers: { 'X-Foo': ['a'] } } },
    set: { 'APP_HTTP_HEADERS_X-FOO': '[z]' },
    gives: { http: { headers: { 'X-Foo': ['z'] } } },
  },
  {
    rule: 'an entry of a list is replaced',
    tree: { endpoints: [{ name: 'a' }, { name: 'b', url: 'u' }] },
    set: { APP_ENDPOINTS_1_NAME: 'c' },
    gives: { endpoints: [{ name: 'a' }, { name: 'c', url: 'u' }] },
  },
  {
    rule: 'the index that is the length appends',
    tree: { endpoints: [{ name: 'a' }] },
    set: { APP_ENDPOINTS_1_NAME: 'c' },
    gives: { endpoints: [{ name: 'a' }, { name: 'c' }] },
  },
  {
    rule: 'entry 10 comes after entry 9',
    set: Object.fromEntries(
      [...'0123456789']
        .map((n) => [`APP_HTTP_TLS_CLIENTCAS_${n}`, n])
        .concat([['APP_HTTP_TLS_CLIENTCAS_10', '10']]),
    ),
    gives: { http: { tls: { clientcas: [...'0123456789', '10'] } } },
  },
  {
    rule: 'a nested map of unknown type is walked, made or found',
    tree: { storage: { maintenance: { readonly: { enabled: 'false' } } } },
    set: { APP_STORAGE_MAINTENANCE_READONLY_ENABLED: 'true', APP_STORAGE_MAINTENANCE_OTHER_X: '1' },
    gives: { storage: { maintenance: { readonly: { enabled: 'true' }, other: { x: '1' } } } },
  },
]

for (const { rule, tree = {}, set, gives } of RULES) {
  test(rule, () => {
    const result = overridden(tree, set)
    assert.deepEqual([result.tree, result.problems, result.ignored], [gives, [], []])
  })
}

test('a name that leads nowhere is ignored and said: unknown, below a value, empty, or a key with an underscore', () => {
  const names = [
    'APP_DUCKS',
    'APP_HTTP_ADDR_X',
    'APP_HTTP__ADDR',
    'APP_',
    'APP_HTTP_MY_KEY',
    'APP_STORAGE_A_X_Y',
  ]
  const tree = { storage: { a: { x: 'text' } } }
  const result = overridden(tree, Object.fromEntries(names.map((name) => [name, '1'])))
  assert.deepEqual([result.tree, result.problems], [tree, []])
  assert.deepEqual(new Set(result.ignored), new Set(names))
})

test('names without the prefix are not looked at', () => {
  assert.deepEqual(overridden({}, { app_HTTP_ADDR: '1', HTTP_ADDR: '2', OTHER_HTTP_ADDR: '3' }).tree, {})
})

const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  [
    'APP_ENDPOINTS_5_NAME',
    'x',
    /^APP_ENDPOINTS_5_NAME cannot be applied: endpoints has 1 entry, and the next is number 1$/,
  ],
  ['APP_ENDPOINTS_FIRST_NAME', 'x', /endpoints is a list, whose entries are named by number/],
  ['APP_LOG_LEVEL', '[hunter2', /^APP_LOG_LEVEL is not valid YAML: line 1: [^\n]+$/],
  ['APP_HTTP_ADDR', ':1', /http is not a mapping of keys/],
]

for (const [name, value, message] of REFUSED) {
  test(`${name}=${value} is refused in one sentence without the value`, () => {
    const tree = { endpoints: [{ name: 'a' }], http: 'text' }
    const result = overridden(tree, { [name]: value })
    assert.deepEqual([result.tree, result.problems.length], [tree, 1])
    assert.match(result.problems[0] ?? '', message)
    assert.doesNotMatch(result.problems[0] ?? '', /hunter2/)
  })
}

test('the variable that set a path is known', () => {
  const { origins } = overridden({}, { APP_HTTP_TLS_CLIENTCAS_0: 'x', APP_STORAGE: 'b' })
  assert.deepEqual(
    [...origins],
    [
      ['http.tls.clientcas.0', 'APP_HTTP_TLS_CLIENTCAS_0'],
      ['storage', 'APP_STORAGE'],
    ],
  )
})

const step = fc.constantFrom(
  'HTTP',
  'LOG',
  'ADDR',
  'STORAGE',
  'ENDPOINTS',
  'HEADERS',
  'NAME',
  '0',
  '1',
  '-1',
  '',
  'x',
  '__PROTO__',
  'constructor',
)
const variables = fc.dictionary(
  fc.array(step, { minLength: 1, maxLength: 5 }).map((steps) => `APP_${steps.join('_')}`),
  fc.oneof(fc.string(), fc.constantFrom('{a: b}', '[x, y]', 'a', '~', '[{name: a}]')),
  { maxKeys: 8 },
)

test('any environment either applies, is ignored or is refused in a sentence, and leaves the tree that it was given', () => {
  fc.assert(
    fc.property(variables, (set) => {
      const tree: Tree = {
        http: { headers: { 'X-A': ['1'] } },
        endpoints: [{ name: 'a' }],
        storage: 'inmemory',
      }
      const before = JSON.stringify(tree)
      const { problems, ignored, origins } = overridden(tree, set)
      assert.equal(JSON.stringify(tree), before)
      for (const problem of problems)
        assert.match(problem, /^APP_\S* (is not valid YAML|cannot be applied): \S/)
      assert.ok(problems.length + ignored.length + origins.size <= Object.keys(set).length)
    }),
  )
})

test('applying an environment twice gives what applying it once gives', () => {
  fc.assert(
    fc.property(variables, (set) => {
      const once = overridden({ endpoints: [{ name: 'a' }] }, set)
      fc.pre(once.problems.length === 0)
      const twice = overridden(once.tree, set)
      assert.deepEqual(twice.tree, once.tree)
    }),
  )
})
