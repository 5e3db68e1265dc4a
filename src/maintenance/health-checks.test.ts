import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { accepts, answers, fileIsAbsent, HealthChecks } from '#maintenance/health-checks.ts'
import { silentLog } from '#telemetry/log.ts'

test('a check counts once it failed as often in a row as its threshold says, and no longer when it passes', async () => {
  let fails = true
  let runs = 0
  const { promise: passed, resolve: pass } = Promise.withResolvers<void>()
  const checks = new HealthChecks(
    [
      {
        name: 'disk',
        everyMs: 1,
        threshold: 3,
        run: async () => {
          runs += 1
          if (runs === 3) assert.deepEqual(checks.failing(), {})
          if (runs === 6) {
            assert.deepEqual(checks.failing(), { disk: 'it is gone' })
            assert.equal(checks.healthy, false)
            fails = false
          }
          if (runs === 8) pass()
          if (fails) throw new Error('it is gone')
        },
      },
    ],
    silentLog(),
  )
  await passed
  await checks.stop()
  assert.equal(checks.healthy, true)
})

test('a file that exists takes the server out of service', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'stowage-health-'))
  const file = join(folder, 'out-of-service')
  await fileIsAbsent(file)
  await writeFile(file, '')
  await assert.rejects(fileIsAbsent(file), /exists/)
  await rm(folder, { recursive: true })
})

test('an address is well when it answers with the status, and when it takes connections', async () => {
  const server = createServer((request, response) => {
    response.writeHead(request.headers['x-probe'] === 'yes' ? 204 : 500).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}/`
  const headers = new Map([['x-probe', 'yes']])
  await answers(url, { status: 204, timeoutMs: 5_000, headers })
  await assert.rejects(answers(url, { status: 200, timeoutMs: 5_000, headers }), /answers 204, not 200/)
  await accepts(`127.0.0.1:${port}`, 5_000)
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
  await assert.rejects(accepts(`127.0.0.1:${port}`, 5_000), { code: 'ECONNREFUSED' })
})
