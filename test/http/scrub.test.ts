// What a disk has damaged: found, set aside, told, never served again, and healed by the next push.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { Finding } from '#maintenance/scrub/scrub-blobs.ts'
import { gatewayIsMissing, S3Gateway } from '../processes/s3-gateway.ts'
import { json, send, type Target } from './client.ts'
import { type Content, expectStatus, makeImage, pushBlob, pushImage, randomContent } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const MiB = 1024 * 1024
const JOB_MS_MAX = 30_000

interface Report {
  readonly blobs: number
  readonly corrupt: number
  readonly missing: number
  readonly repaired: number
  readonly findings: readonly Finding[]
}

async function scrub(target: Target, input: object = { bytesPerSecond: 0 }): Promise<Report> {
  const headers = { 'Content-Type': 'application/json' }
  const body = JSON.stringify({ kind: 'scrub', input })
  const started = await send(target, 'POST', '/api/v1/jobs', { headers, body })
  expectStatus(started, 201)
  const { id } = json(started) as { id: number }
  const deadline = performance.now() + JOB_MS_MAX
  for (;;) {
    const job = json(await send(target, 'GET', `/api/v1/jobs/${id}`)) as Record<string, unknown>
    if (job['state'] === 'done') return job['result'] as Report
    // It is tried again later, which is not waited for.
    assert.equal(job['error'], null)
    assert.ok(performance.now() < deadline, String(job['state']))
    await wait(20)
  }
}

const dataOf = (root: string, { digest }: Pick<Content, 'digest'>) =>
  join(root, 'docker/registry/v2/blobs/sha256', digest.slice(7, 9), digest.slice(7), 'data')

async function flipBit(file: string): Promise<void> {
  const handle = await open(file, 'r+')
  const { size } = await handle.stat()
  const byte = Buffer.alloc(1)
  const at = Math.floor(size / 2)
  await handle.read(byte, 0, 1, at)
  byte[0] = (byte[0] ?? 0) ^ 1
  await handle.write(byte, 0, 1, at)
  await handle.close()
}

const statusOf = async (target: Target, method: string, path: string) =>
  (await send(target, method, path)).status

describe('on a file system', () => {
  let server: TestServer
  before(async () => {
    server = await startServer({ onDisk: true })
  })
  after(() => server[Symbol.asyncDispose]())

  for (const [what, size] of [
    ['small', 2_000],
    ['large', 3 * MiB],
  ] as const)
    test(`a flipped bit in a ${what} layer is found, the layer is gone for everybody, and a push heals it`, async () => {
      const layer = randomContent(size)
      const image = makeImage([layer])
      for (const name of [`a/${what}`, `b/${what}`]) await pushImage(server, name, 'v1', image)
      assert.equal((await scrub(server)).findings.length, 0)
      await flipBit(dataOf(server.root, layer))
      // What was served before is in a cache, and good.
      await server.restart()
      const report = await scrub(server)
      assert.deepEqual([report.corrupt, report.missing, report.repaired], [1, 0, 0])
      const [finding] = report.findings
      assert.partialDeepStrictEqual(finding, {
        kind: 'corrupt',
        digest: layer.digest,
        uses: [`a/${what}`, `b/${what}`],
      })
      assert.ok(existsSync(String(finding?.quarantine)))
      for (const name of [`a/${what}`, `b/${what}`])
        for (const method of ['HEAD', 'GET'])
          assert.equal(await statusOf(server, method, `/v2/${name}/blobs/${layer.digest}`), 404)
      const mount = `/v2/c/${what}/blobs/uploads/?mount=${layer.digest}&from=a/${what}`
      assert.equal(await statusOf(server, 'POST', mount), 202)
      assert.ok(
        server.log.of('error').some(({ msg }) => msg.startsWith('stored bytes do not have their digest')),
      )
      await pushBlob(server, `a/${what}`, layer)
      const healed = await send(server, 'GET', `/v2/a/${what}/blobs/${layer.digest}`)
      assert.ok(healed.body.equals(layer.bytes))
      assert.equal((await scrub(server)).findings.length, 0)
    })

  test('a manifest that is broken is gone with its tags, which the report names, and comes back with its push', async () => {
    const image = makeImage()
    await pushImage(server, 'm/app', 'v1', image)
    await flipBit(dataOf(server.root, image.manifest))
    await server.restart()
    const report = await scrub(server, { digests: [image.manifest.digest] })
    assert.deepEqual(report.findings[0]?.uses, ['m/app', 'm/app:v1'])
    for (const reference of ['v1', image.manifest.digest])
      for (const method of ['HEAD', 'GET'])
        assert.equal(await statusOf(server, method, `/v2/m/app/manifests/${reference}`), 404)
    await pushImage(server, 'm/app', 'v1', image)
    assert.equal(await statusOf(server, 'GET', '/v2/m/app/manifests/v1'), 200)
  })

  test('bytes that are gone are told as missing, and a push brings them back', async () => {
    const layer = randomContent(5_000)
    await pushImage(server, 'gone/app', 'v1', makeImage([layer]))
    await rm(dataOf(server.root, layer))
    const report = await scrub(server)
    assert.deepEqual([report.corrupt, report.missing], [0, 1])
    assert.equal(await statusOf(server, 'HEAD', `/v2/gone/app/blobs/${layer.digest}`), 404)
    await pushBlob(server, 'gone/app', layer)
    assert.equal(await statusOf(server, 'GET', `/v2/gone/app/blobs/${layer.digest}`), 200)
  })

  test('bytes of which a good copy is in memory are repaired with it', async () => {
    const layer = randomContent(3_000)
    await pushImage(server, 'kept/app', 'v1', makeImage([layer]))
    assert.equal(await statusOf(server, 'GET', `/v2/kept/app/blobs/${layer.digest}`), 200)
    await flipBit(dataOf(server.root, layer))
    const report = await scrub(server, { digests: [layer.digest] })
    assert.deepEqual([report.repaired, report.corrupt], [1, 0])
    assert.ok((await readFile(dataOf(server.root, layer))).equals(layer.bytes))
  })

  test('a disk that is not there costs nothing: the run fails, and everything is there when it is back', async () => {
    const images = Array.from({ length: 12 }, () => makeImage())
    for (const [index, image] of images.entries()) await pushImage(server, 'many/app', `v${index}`, image)
    const shards = join(server.root, 'docker/registry/v2/blobs/sha256')
    await rename(shards, `${shards}.away`)
    await assert.rejects(scrub(server), /is it mounted/)
    await rename(`${shards}.away`, shards)
    for (const index of images.keys())
      assert.equal(await statusOf(server, 'HEAD', `/v2/many/app/manifests/v${index}`), 200)
    for (const { layers } of images)
      for (const { digest } of layers)
        assert.equal(await statusOf(server, 'GET', `/v2/many/app/blobs/${digest}`), 200)
  })
})

test('with two tiers the good copy takes the place of the bad one, whichever it is', async () => {
  const cold = await mkdtemp(join(tmpdir(), 'stowage-scrub-cold-'))
  const env = {
    REGISTRY_STORAGE_TIERS_COLD_FILESYSTEM_ROOTDIRECTORY: cold,
    REGISTRY_STORAGE_TIERS_MOVEAFTER: '1ms',
    REGISTRY_STORAGE_TIERS_MINSIZE: '1000',
  }
  await using server = await startServer({ onDisk: true, env })
  try {
    const layer = randomContent(2 * MiB)
    await pushImage(server, 'app', 'v1', makeImage([layer]))
    const headers = { 'Content-Type': 'application/json' }
    const { id } = json(
      await send(server, 'POST', '/api/v1/jobs', { headers, body: '{"kind":"tier","input":{}}' }),
    ) as { id: number }
    while ((json(await send(server, 'GET', `/api/v1/jobs/${id}`)) as { state: string }).state !== 'done')
      await wait(20)
    assert.ok(existsSync(dataOf(cold, layer)) && !existsSync(dataOf(server.root, layer)))
    // A pull brings it up, behind itself.
    assert.equal(await statusOf(server, 'GET', `/v2/app/blobs/${layer.digest}`), 200)
    while (!existsSync(dataOf(server.root, layer))) await wait(20)
    for (const root of [server.root, cold]) {
      await flipBit(dataOf(root, layer))
      const report = await scrub(server)
      // A scrub reads what a pull would be served, which is the hot one.
      if (root === server.root) assert.deepEqual([report.repaired, report.corrupt], [1, 0])
    }
    assert.ok((await send(server, 'GET', `/v2/app/blobs/${layer.digest}`)).body.equals(layer.bytes))
  } finally {
    await rm(cold, { recursive: true, force: true })
  }
})

test('in a bucket a broken object is copied aside, gone for everybody, and healed by a push', {
  skip: gatewayIsMissing(),
}, async () => {
  const gateway = await S3Gateway.start()
  try {
    const bucket = gateway.newBucket()
    await using server = await startServer({ s3: gateway.storageConfig(bucket) })
    const layer = randomContent(2 * MiB)
    await pushImage(server, 'app', 'v1', makeImage([layer]))
    const files = (await readdir(gateway.folder, { recursive: true })).filter((file) =>
      file.endsWith(`${layer.digest.slice(7)}/data`),
    )
    assert.equal(files.length, 1)
    await flipBit(join(gateway.folder, String(files[0])))
    const report = await scrub(server)
    assert.deepEqual([report.corrupt, report.missing], [1, 0])
    assert.match(String(report.findings[0]?.quarantine), /^stowage\/quarantine\//)
    assert.equal(await statusOf(server, 'HEAD', `/v2/app/blobs/${layer.digest}`), 404)
    await pushBlob(server, 'app', layer)
    assert.ok((await send(server, 'GET', `/v2/app/blobs/${layer.digest}`)).body.equals(layer.bytes))
  } finally {
    await gateway.stop()
  }
})
