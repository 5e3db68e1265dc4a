import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseYamlTree, YamlError } from './yaml-tree.ts'

test('scalars keep their spelling, and only a plain null is null', () => {
  assert.deepEqual(parseYamlTree('{a: 0123, b: 0.10, c: yes, d: "null", e: ~, f: }').tree, {
    a: '0123',
    b: '0.10',
    c: 'yes',
    d: 'null',
    e: null,
    f: null,
  })
})

test('an empty text is null, and an empty mapping is a mapping', () => {
  assert.equal(parseYamlTree('').tree, null)
  assert.deepEqual(parseYamlTree('{}').tree, {})
})

test('a mistake is named with its line and without the text, which may hold a secret', () => {
  assert.throws(
    () => parseYamlTree('http:\n  secret: hunter2\n addr: [hunter2\n'),
    (error) =>
      error instanceof YamlError && /^line 3: /.test(error.message) && !/hunter2/.test(error.message),
  )
})

test('a key that is written twice counts the second time, and is reported', () => {
  const { tree, repeated } = parseYamlTree('http:\n  addr: :1\n  addr: :2\n')
  assert.deepEqual(tree, { http: { addr: ':2' } })
  assert.deepEqual(repeated, ['addr (line 3)'])
})

test('an alias is a copy, and merge keys merge', () => {
  const { tree } = parseYamlTree('a: &x {k: 1}\nb: *x\nc:\n  <<: *x\n  m: 2\n')
  assert.deepEqual(tree, { a: { k: '1' }, b: { k: '1' }, c: { k: '1', m: '2' } })
  assert.ok(typeof tree === 'object' && tree !== null && 'a' in tree && 'b' in tree && tree.a !== tree.b)
})

const HOSTILE: Readonly<Record<string, string>> = {
  'aliases that multiply': `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n`,
  'nesting without end': '['.repeat(200_000),
  'keys that are no text': '? [1, 2]\n: x\n',
  'an alias of nothing': 'a: *nobody\n',
  'two documents': 'a: 1\n---\nb: 2\n',
}

for (const [what, text] of Object.entries(HOSTILE)) {
  test(`${what}: refused with a clear error`, () => {
    assert.throws(() => parseYamlTree(text), YamlError)
  })
}

test('a key named __proto__ is a key like any other', () => {
  const { tree } = parseYamlTree('__proto__: {polluted: 1}\n')
  assert.ok(typeof tree === 'object' && tree !== null && Object.hasOwn(tree, '__proto__'))
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
})
