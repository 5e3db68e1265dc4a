// One server a folder, among processes: the second names the first, and takes over at once when the first is killed.
import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { removeRegistry, startRegistry } from '../processes/registry-server.ts'
import type { Part } from './part.ts'
import { StoreUnderTest } from './store-under-test.ts'

const TAKEOVER_MS_MAX = 5_000

async function lockIsHeld(say: (line: string) => void): Promise<void> {
  await using first = await StoreUnderTest.start()
  assert.equal((await first.pushImage('v1')).status, 201)
  const config = { storage: { filesystem: { rootdirectory: first.root }, delete: { enabled: true } } }
  await assert.rejects(startRegistry('stowage', { config }), (error: Error) => {
    const holder = `process ${first.process.pid} on ${hostname()}, running since 20`
    assert.ok(
      error.message.includes(`another server has the folder ${first.root}/stowage: ${holder}`),
      error.message,
    )
    return true
  })
  await first.servesAll()
  await first.process.kill()
  const second = await startRegistry('stowage', { config })
  try {
    assert.ok(second.startMs < TAKEOVER_MS_MAX, `the second took ${second.startMs} ms`)
    say(`  the second started ${Math.round(second.startMs)} ms after the first was killed`)
    const answer = await fetch(`${second.url}/v2/app/manifests/v1`)
    assert.equal(answer.status, 200)
  } finally {
    await removeRegistry(second)
  }
}

export const FOLDER_LOCK: readonly Part[] = [{ name: 'the lock of the folder', run: lockIsHeld }]
