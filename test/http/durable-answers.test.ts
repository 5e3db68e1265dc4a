// What is acknowledged is durable. Here the disk fails at the last step of each write: an answer that did not wait for that
// step would still be the good one. The order of the system calls is looked at by test/faults/syncs.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { TransactionOptions } from '#db/db.ts'
import { type Answer, send } from './client.ts'
import { expectStatus, makeImage, openSession, pushBlob, putManifest, randomContent } from './content.ts'
import { startServer, type TestServer } from './server.ts'

let server: TestServer
before(async () => {
  server = await startServer({ onDisk: true })
})
after(() => server[Symbol.asyncDispose]())

interface Step {
  readonly name: string
  readonly status: number
  /** Prepares, and resolves to the request whose answer is looked at. */
  prepare(): Promise<() => Promise<Answer>>
  readonly writesBytes: boolean
}

async function pushedManifest(tag: string) {
  const image = makeImage()
  for (const content of [image.config, ...image.layers]) await pushBlob(server, 'app', content)
  const put = () => putManifest(server, 'app', tag, image.manifest.bytes)
  return { image, put }
}

const STEPS: readonly Step[] = [
  {
    name: 'a manifest',
    status: 201,
    writesBytes: true,
    prepare: async () => (await pushedManifest('v1')).put,
  },
  {
    name: 'a whole blob',
    status: 201,
    writesBytes: true,
    prepare: async () => {
      const { bytes, digest } = randomContent(2_000)
      return () => send(server, 'POST', `/v2/app/blobs/uploads/?digest=${digest}`, { body: bytes })
    },
  },
  {
    name: 'a large whole blob',
    status: 201,
    writesBytes: true,
    prepare: async () => {
      const { bytes, digest } = randomContent(3_000_000)
      return () => send(server, 'POST', `/v2/app/blobs/uploads/?digest=${digest}`, { body: bytes })
    },
  },
  {
    name: 'the close of an upload',
    status: 201,
    writesBytes: true,
    prepare: async () => {
      const { bytes, digest } = randomContent(2_000)
      const location = await openSession(server, 'app')
      expectStatus(await send(server, 'PATCH', location, { body: bytes }), 202)
      return () => send(server, 'PUT', `${location}?digest=${digest}`)
    },
  },
  {
    name: 'a mount',
    status: 201,
    writesBytes: false,
    prepare: async () => {
      const digest = await pushBlob(server, 'app', randomContent(2_000))
      return () => send(server, 'POST', `/v2/other/blobs/uploads/?mount=${digest}&from=app`)
    },
  },
  {
    name: 'the delete of a tag',
    status: 202,
    writesBytes: false,
    prepare: async () => {
      expectStatus(await (await pushedManifest('gone')).put(), 201)
      return () => send(server, 'DELETE', '/v2/app/manifests/gone')
    },
  },
  {
    name: 'the delete of a manifest',
    status: 202,
    writesBytes: false,
    prepare: async () => {
      const { image, put } = await pushedManifest('gone')
      expectStatus(await put(), 201)
      return () => send(server, 'DELETE', `/v2/app/manifests/${image.manifest.digest}`)
    },
  },
  {
    name: 'the delete of a blob',
    status: 202,
    writesBytes: false,
    prepare: async () => {
      const digest = await pushBlob(server, 'app', randomContent(2_000))
      return () => send(server, 'DELETE', `/v2/app/blobs/${digest}`)
    },
  },
]

/** While the request runs, the seam does its work and then fails; resolves to the answer. */
async function failing<K extends string>(
  seam: Record<K, (...args: never[]) => Promise<unknown>>,
  name: K,
  request: () => Promise<Answer>,
): Promise<Answer> {
  const original = seam[name]
  seam[name] = async (...args) => {
    await original.apply(seam, args)
    throw new Error('the disk is gone')
  }
  try {
    return await request()
  } finally {
    seam[name] = original
  }
}

describe('the answer waits', () => {
  for (const { name, status, prepare, writesBytes } of STEPS) {
    test(`for the facts of ${name}, which are committed durably`, async () => {
      const { db } = server.app.registry
      expectStatus(await failing(db, 'transaction', await prepare()), 500)
      // Others may write meanwhile, such as the cursor of the link files: none of them durably.
      let durable = false
      const original = db.transaction
      db.transaction = (work, options?: TransactionOptions) => {
        durable ||= options?.durable !== false
        return original.call(db, work, options) as never
      }
      try {
        expectStatus(await (await prepare())(), status)
      } finally {
        db.transaction = original
      }
      assert.ok(durable)
    })

    if (!writesBytes) continue
    test(`for the bytes of ${name}`, async () => {
      const { storage } = server.app.registry
      expectStatus(await failing(storage, 'commit', await prepare()), 500)
    })
  }
})
