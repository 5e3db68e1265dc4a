// A server that dies after the bytes of an upload got their name, and before the facts: the client closes it again.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { blobPath } from '#blobs/layout.ts'
import { locationOf, send } from '../../http/client.ts'
import { expectStatus, randomContent } from '../../http/content.ts'
import type { Part } from '../part.ts'
import { StoreUnderTest } from '../store-under-test.ts'
import { killAtSync, requireStrace } from './strace.ts'

const KiB = 1024
const DETACH_MS_MAX = 10_000

async function killedBeforeTheFacts(say: (line: string) => void): Promise<void> {
  requireStrace()
  await using store = await StoreUnderTest.start()
  for (const size of [5 * KiB, 3000 * KiB]) {
    const content = randomContent(size)
    const data = `${store.root}/${blobPath(content.digest)}`
    const opened = await send(store.target, 'POST', '/v2/app/blobs/uploads/')
    const patched = await send(store.target, 'PATCH', locationOf(opened), { body: content.bytes })
    expectStatus(patched, 202)
    const close = `${locationOf(patched)}?digest=${content.digest}`
    const disturbance = await killAtSync(store.process.pid, dirname(data))
    await assert.rejects(send(store.target, 'PUT', close), 'the server dies before it answers')
    await disturbance.untilEnds(DETACH_MS_MAX)
    assert.ok(existsSync(data), 'it died when the bytes had their name')
    await store.restart()
    expectStatus(await store.get(`/v2/app/blobs/${content.digest}`), 404)
    expectStatus(await send(store.target, 'PUT', close), 201)
    expectStatus(await send(store.target, 'PUT', close), 404)
    store.blobs.push(content)
    await store.servesAll()
  }
  await store.stop()
  store.isSound({ links: true })
  say('  the same close after the restart makes the blob, and a third one finds no session')
}

export const KILLED_CLOSE: Part = {
  name: 'a close that is killed between the name and the facts',
  run: killedBeforeTheFacts,
}
