import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { caseVariants, JSON_DEPTH_MAX, JSON_REPEATS_MAX, jsonMembers } from '#lib/json-members.ts'

const repeats: [string, string[]][] = [
  ['{}', []],
  ['[]', []],
  ['"a"', []],
  ['{"a":1,"b":2}', []],
  ['{"a":1,"a":2}', ['/a']],
  ['{"a":1,"a":2,"a":3}', ['/a', '/a']],
  ['{"a":{"b":1},"c":{"b":1}}', []],
  ['{"a":{"b":1,"b":2}}', ['/a/b']],
  ['{"l":[{"x":1},{"x":1,"x":2}]}', ['/l/1/x']],
  ['[[],[{"x":1},{"y":1 , "y" : 2}]]', ['/1/1/y']],
  ['{"a":"a","b":"a"}', []],
  ['{"a":"\\"b\\":1,","b":1}', []],
  ['{"a\\\\":1,"a":2}', []],
  ['{"\\u0061":1,"a":2}', ['/a']],
  ['{"a/b~c":1,"a/b~c":2}', ['/a~1b~0c']],
  ['{"__proto__":1,"__proto__":2}', ['/__proto__']],
  ['{"":1,"":2}', ['/']],
  ['{"a":["x","x",":"],"b":1}', []],
  [' {\n\t"a"\r\n :1 ,"a"\t:2 } ', ['/a']],
]

for (const [text, expected] of repeats)
  test(`the repeated members of ${JSON.stringify(text)} are ${JSON.stringify(expected)}`, () => {
    JSON.parse(text)
    assert.deepEqual(jsonMembers(text).repeated, expected)
  })

test('whatever JSON.stringify writes has no repeated member, and its own names at the top', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(0, 2), (value, indent) => {
      const members = jsonMembers(JSON.stringify(value, undefined, indent))
      assert.deepEqual(members.repeated, [])
      assert.deepEqual([...members.topLevel].sort(), Object.keys(value).sort())
    }),
  )
})

test('a member that is added a second time is found, wherever it stands', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string(), fc.jsonValue(), (before, name, value) => {
      const member = `${JSON.stringify(name)}:${JSON.stringify(value)}`
      const text = `{"list":[${JSON.stringify(before)},{${member},${member}}]}`
      assert.equal(jsonMembers(text).repeated.length, 1)
    }),
  )
})

test('a text that nests too deep is told, and costs neither stack nor time', () => {
  const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
  assert.equal(jsonMembers(deep(JSON_DEPTH_MAX)).tooDeep, false)
  assert.equal(jsonMembers(deep(JSON_DEPTH_MAX + 1)).tooDeep, true)
  assert.equal(jsonMembers(deep(1_000_000)).tooDeep, true)
})

test('a text of nothing but repetitions yields a bounded list of bounded paths', () => {
  const name = 'n'.repeat(10_000)
  const text = `{${Array(200).fill(`"${name}":1`).join(',')}}`
  const { repeated } = jsonMembers(text)
  assert.equal(repeated.length, JSON_REPEATS_MAX)
  assert.ok(repeated.every((path) => path.length < 200))
})

test('a text with very many members is read to its end', () => {
  const members = 200_000
  const text = `{${Array.from({ length: members }, (_, n) => `"\\\\\\"k${n}":"\\\\\\""`).join(',')}}`
  assert.equal(jsonMembers(text).topLevel.length, members)
})

test('a name that only case tells from a known one is found, as Go folds it', () => {
  const known = ['layers', 'config']
  assert.deepEqual(caseVariants(['layers', 'config', 'layer', 'foo'], known), [])
  assert.deepEqual(caseVariants(['Layers', 'CONFIG'], known), [
    { name: 'Layers', known: 'layers' },
    { name: 'CONFIG', known: 'config' },
  ])
  assert.deepEqual(caseVariants(['layer\u017f'], known), [{ name: 'layer\u017f', known: 'layers' }])
  assert.deepEqual(caseVariants(['\u212aey'], ['key']), [{ name: '\u212aey', known: 'key' }])
})
