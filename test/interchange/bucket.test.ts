// Stowage and distribution 3 take turns with one bucket: each serves what the other wrote, and notices what it changed.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { encodedOf } from '#oci/digest.ts'
import { type Answer, send, type Target } from '../http/client.ts'
import { expectStatus, randomContent } from '../http/content.ts'
import { type RegistryKind, removeRegistry, startRegistry } from '../processes/registry-server.ts'
import { gatewayIsMissing, S3Gateway } from '../processes/s3-gateway.ts'
import { isExecutable } from '../tools/find-program.ts'
import { toolPath } from '../tools/pinned.ts'
import { blobStatus, manifestStatus, Published } from './published.ts'

const MiB = 1024 * 1024
const distributionIsMissing =
  isExecutable(toolPath('registry')) || process.env['CI'] === 'true'
    ? undefined
    : 'distribution is not installed: run node test/tools/install.ts go'

describe('interchange in a bucket', { skip: gatewayIsMissing() ?? distributionIsMissing ?? false }, () => {
  let gateway: S3Gateway
  before(async () => {
    gateway = await S3Gateway.start()
  })
  after(() => gateway.stop())

  /** Runs a server on a bucket, works with it, and ends it. */
  async function turn(
    kind: RegistryKind,
    bucket: string,
    facts: string,
    work: (server: Target) => Promise<void>,
  ): Promise<void> {
    const storage = {
      s3: gateway.storageConfig(bucket),
      delete: { enabled: true },
      redirect: { disable: true },
    }
    const database = { path: join(facts, 'registry.sqlite') }
    const config = kind === 'stowage' ? { storage, database } : { storage }
    const server = await startRegistry(kind, { config })
    try {
      await work({ port: Number(new URL(server.url).port) })
    } finally {
      await removeRegistry(server)
    }
  }

  async function withFacts(work: (facts: string) => Promise<void>): Promise<void> {
    const facts = await mkdtemp(join(tmpdir(), 'stowage-facts-'))
    try {
      await work(facts)
    } finally {
      await rm(facts, { recursive: true, force: true })
    }
  }

  async function publish(server: Target): Promise<Published> {
    const published = new Published()
    const base = randomContent(5_000)
    // Several parts of an upload, in each of them.
    const large = randomContent(21 * MiB)
    const oci = await published.image(server, 'team/app', ['1.0', 'latest'], { layers: [base, large] })
    await published.index(server, 'team/app', ['multi'], [oci])
    await published.image(server, 'team/app/nested', ['v2s2'], { docker: true, layers: [base] })
    await published.image(server, 'solo', ['one'])
    return published
  }

  test('Stowage serves what distribution pushed, from its first moment, and copies nothing', () =>
    withFacts(async (facts) => {
      const bucket = gateway.newBucket()
      let published = new Published()
      await turn('distribution', bucket, facts, async (server) => {
        published = await publish(server)
      })
      await turn('stowage', bucket, facts, async (server) => {
        await published.assertServedBy(server)
        await published.image(server, 'team/app', ['3.0'])
      })
      await turn('stowage', bucket, facts, (server) => published.assertServedBy(server))
    }))

  test('distribution serves what Stowage pushed, and finds deleted what it deleted', () =>
    withFacts(async (facts) => {
      const bucket = gateway.newBucket()
      let published = new Published()
      await turn('stowage', bucket, facts, async (server) => {
        published = await publish(server)
        expectStatus(await send(server, 'DELETE', '/v2/team/app/manifests/latest'), 202)
        published.untag('team/app', 'latest')
      })
      await turn('distribution', bucket, facts, async (server) => {
        for (const { repository, content, tags } of published.manifests)
          for (const reference of [content.digest, ...tags])
            assert.equal(
              await manifestStatus(server, repository, reference),
              200,
              `${repository}:${reference}`,
            )
        assert.equal(await manifestStatus(server, 'team/app', 'latest'), 404)
        for (const { repository, content } of published.blobs) {
          assert.equal(await blobStatus(server, repository, content.digest), 200)
          const pulled: Answer = await send(server, 'GET', `/v2/${repository}/blobs/${content.digest}`)
          assert.ok(pulled.body.equals(content.bytes), encodedOf(content.digest))
        }
        await published.image(server, 'team/later', ['from-distribution'])
        expectStatus(await send(server, 'DELETE', '/v2/solo/manifests/one'), 202)
        published.untag('solo', 'one')
      })
      await turn('stowage', bucket, facts, (server) => published.assertServedBy(server))
    }))
})
