import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { hostname } from 'node:os'
import { test } from 'node:test'
import { isGone, newProcessName } from './process-name.ts'

test('a process that has ended is gone, one that runs is not, and of other hosts nothing is known', () => {
  const { pid } = spawnSync(process.execPath, ['--version'])
  assert.equal(isGone(`${hostname()}/${pid}/a`), true)
  assert.equal(isGone(`${hostname()}/${process.ppid}/a`), false)
  assert.equal(isGone(`another-${hostname()}/${pid}/a`), false)
  assert.equal(isGone('nonsense'), false)
})

test('another name of the number that we have now was of a process before us', () => {
  assert.equal(isGone(newProcessName()), true)
})
