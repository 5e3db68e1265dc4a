// Two processes that tell the same webhooks.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { Db } from '#db/db.ts'
import { findProject, insertProject } from '#db/projects.ts'
import { addDeliveries, countDeliveries } from '#db/webhook-deliveries.ts'
import { findWebhook, insertWebhook } from '#db/webhooks.ts'
import { Deliverer } from '#events/webhooks/deliverer.ts'
import { Outbound } from '#lib/outbound/outbound.ts'
import { RecordingLog } from '../../../test/http/recording-log.ts'
import { openFacts } from '../../../test/processes/test-database.ts'

const LANES = 12
const PER_LANE = 15
const WAIT_MS_MAX = 20_000
const HOUR_MS = 3_600_000

let db: Db
const outbound = new Outbound({ allow: ['127.0.0.1'] })
before(async () => {
  db = await openFacts()
})
after(async () => {
  await outbound.close()
  await db.close()
})

test('two processes tell each event once, in the order of its repository', async () => {
  const told: string[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    told.push((JSON.parse(Buffer.concat(chunks).toString()) as { subject: string }).subject)
    response.writeHead(204).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const webhookId = await db.transaction(async (tx) => {
    await insertProject(tx, { name: 'team', visibility: 'private', now: 1 })
    const projectId = (await findProject(tx, 'team'))?.id ?? 0
    const fixed = { headerNames: [], signed: false, sealed: '', disabled: false }
    const webhook = { name: 'ci', url, format: 'cloudevents' as const, kinds: [], repository: '**', ...fixed }
    await insertWebhook(tx, projectId, webhook, { now: 1, afterEvent: 0 })
    return (await findWebhook(tx, projectId, 'ci'))?.id ?? 0
  })
  const options = {
    ...{ db, log: new RecordingLog(), now: Date.now, random: Math.random, onAttempt: () => {} },
    outbound: async () => outbound,
    unseal: () => ({ headers: {}, secret: undefined }),
    source: { addr: 'registry', instanceID: 'test' },
    giveUpMs: HOUR_MS,
    keptMs: { delivered: HOUR_MS, dead: HOUR_MS },
  }
  const deliverers = [new Deliverer(options), new Deliverer(options)]
  for (const deliverer of deliverers) deliverer.start()
  const wanted: string[] = []
  for (let turn = 0; turn < PER_LANE; turn++) {
    const some = Array.from({ length: LANES }, (_, lane) => ({ turn, lane }))
    const rows = some.map(({ lane }) => {
      const event = {
        id: turn * LANES + lane + 1,
        at: 1,
        kind: 'manifest.pushed',
        repository: `team/r${lane}`,
        tag: `${turn}`,
      }
      const nothing = {
        digest: null,
        origin: null,
        requestId: null,
        mediaType: null,
        size: null,
        fromRepository: null,
        actor: null,
      }
      wanted.push(`${event.repository}:${turn}`)
      return {
        webhookId,
        lane: event.repository,
        eventId: event.id,
        event: JSON.stringify({ ...nothing, ...event }),
      }
    })
    await db.transaction((tx) => addDeliveries(tx, rows))
    // Said again, as after a crash of the outbox: it is there already.
    await db.transaction((tx) => addDeliveries(tx, rows.slice(0, 1)))
    for (const deliverer of deliverers) deliverer.wake()
  }
  const deadline = performance.now() + WAIT_MS_MAX
  // Told is not noted yet: a deliverer closed between the two rightly leaves the event to be told again.
  while ((await countDeliveries(db, 'pending')) > 0 && performance.now() < deadline) await wait(20)
  await Promise.all(deliverers.map((deliverer) => deliverer.close()))
  server.close()
  server.closeAllConnections()
  assert.deepEqual([...told].sort(), [...wanted].sort())
  for (let lane = 0; lane < LANES; lane++)
    assert.deepEqual(
      told.filter((subject) => subject.startsWith(`team/r${lane}:`)),
      wanted.filter((subject) => subject.startsWith(`team/r${lane}:`)),
    )
  assert.equal(await countDeliveries(db, 'pending'), 0)
})
