import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareImages, type FileChange } from '#layers/compare.ts'
import { type CraftedEntry, layer } from '#layers/crafted-tar.suite.ts'
import type { LayerSource } from '#layers/read.ts'

const told = (change: FileChange) =>
  `${change.what} ${change.path}${change.what === 'changed' ? ` ${change.aspects.join(',')}` : ''}`

async function compared(left: readonly LayerSource[], right: readonly LayerSource[], times = false) {
  const comparison = await compareImages({ left, right, times })
  return { ...comparison, told: [...comparison.changes()].map(told) }
}

function watched(source: LayerSource): { source: LayerSource; opened: () => number } {
  let opened = 0
  const open = () => {
    opened += 1
    return source.open()
  }
  return { source: { ...source, open }, opened: () => opened }
}

const base = layer(
  { name: 'etc/' },
  { name: 'etc/keep', content: 'same' },
  { name: 'etc/edit', content: 'one' },
  { name: 'etc/drop', content: 'gone!' },
  { name: 'old/a', content: '12345' },
  { name: 'link', type: '2', link: 'etc/keep' },
)

test('an image and itself do not differ, and its layers are read once', async () => {
  const { source, opened } = watched(base)
  const { totals, told, layers } = await compared([source], [source])
  assert.deepEqual(told, [])
  assert.equal(totals.unchanged, 7)
  assert.deepEqual(layers, { shared: [base.diffId], leftOnly: [], rightOnly: [] })
  assert.equal(opened(), 1)
})

test('files added, removed and changed are told with what changed in them, and counted', async () => {
  const upper = layer(
    { name: 'etc/edit', content: 'two', mode: 0o600 },
    { name: 'etc/.wh.drop' },
    { name: '.wh.old' },
    { name: 'new/file', content: '1234567' },
    { name: 'link', type: '2', link: 'etc/edit' },
  )
  const { totals, told, layers, left, right } = await compared([base], [base, upper])
  assert.deepEqual(told, [
    'removed etc/drop',
    'changed etc/edit mode,content',
    'changed link target',
    'added new',
    'added new/file',
    'removed old',
    'removed old/a',
  ])
  const { added, removed, changed, unchanged, addedBytes, removedBytes, changedBytes } = totals
  assert.deepEqual([added, removed, changed, unchanged], [2, 3, 2, 2])
  assert.deepEqual([addedBytes, removedBytes, changedBytes], [7, 10, 0])
  assert.deepEqual(layers, { shared: [base.diffId], leftOnly: [], rightOnly: [upper.diffId] })
  assert.deepEqual([left.names, left.bytes, right.names, right.bytes], [7, 17, 6, 14])
})

test('the same files in other layers do not differ', async () => {
  const flat = layer({ name: 'a', content: '1' }, { name: 'd/b', content: '2' })
  const lower = layer({ name: 'a', content: 'old' }, { name: 'c', content: 'old' })
  const upper = layer({ name: '.wh.c' }, { name: 'a', content: '1' }, { name: 'd/b', content: '2' })
  assert.deepEqual((await compared([flat], [lower, upper])).told, [])
})

test('a layer only on the left shows as what it took away or added', async () => {
  const upper = layer({ name: 'etc/more', content: 'x' })
  const { told, layers } = await compared([base, upper], [base])
  assert.deepEqual(told, ['removed etc/more'])
  assert.deepEqual(layers.leftOnly, [upper.diffId])
})

const aspects: readonly { aspects: string; left: CraftedEntry; right: CraftedEntry }[] = [
  { aspects: 'kind', left: { name: 'x', type: '6' }, right: { name: 'x', type: '3', mode: 0o644 } },
  { aspects: 'mode', left: { name: 'x/', mode: 0o755 }, right: { name: 'x/', mode: 0o1755 } },
  { aspects: 'owner', left: { name: 'x', uid: 1 }, right: { name: 'x', uid: 2 } },
  { aspects: 'size,content', left: { name: 'x', content: 'a' }, right: { name: 'x', content: 'aa' } },
  { aspects: 'content', left: { name: 'x', content: 'a' }, right: { name: 'x', content: 'b' } },
  {
    aspects: 'target',
    left: { name: 'x', type: '2', link: 'a' },
    right: { name: 'x', type: '2', link: 'b' },
  },
  {
    aspects: 'device',
    left: { name: 'x', type: '3', device: [1, 3] },
    right: { name: 'x', type: '3', device: [1, 5] },
  },
  {
    aspects: 'attributes',
    left: { name: 'x', pax: { 'SCHILY.xattr.user.a': '1' } },
    right: { name: 'x', pax: { 'SCHILY.xattr.user.a': '2' } },
  },
]

for (const { aspects: wanted, left, right } of aspects)
  test(`a difference in ${wanted} is told as such`, async () => {
    assert.deepEqual((await compared([layer(left)], [layer(right)])).told, [`changed x ${wanted}`])
  })

test('times count only when asked for', async () => {
  const sides = [[layer({ name: 'x', mtime: 1 })], [layer({ name: 'x', mtime: 2 })]] as const
  assert.deepEqual((await compared(...sides)).told, [])
  assert.deepEqual((await compared(...sides, true)).told, ['changed x time'])
})

test('a hard link has the content of its target, and its bytes count once', async () => {
  const linked = layer({ name: 'a', content: '12345' }, { name: 'b', type: '1', link: 'a' })
  const copied = layer({ name: 'a', content: '12345' }, { name: 'b', content: '12345' })
  const { told, left, right } = await compared([linked], [copied])
  assert.deepEqual(told, [])
  assert.deepEqual([left.bytes, right.bytes], [5, 10])
})

test('a layer that is damaged, or breaks a limit, stops the comparison', async () => {
  const wrong = { ...layer({ name: 'x' }), diffId: base.diffId }
  const other = layer({ name: 'y', content: 'x'.repeat(100) })
  await assert.rejects(compareImages({ left: [other], right: [wrong] }), { code: 'DIFF_ID_MISMATCH' })
  const limits = { fileBytesMax: 50 }
  await assert.rejects(compareImages({ left: [base], right: [other], limits }), { code: 'LIMIT_PASSED' })
})
