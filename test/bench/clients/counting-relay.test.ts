import assert from 'node:assert/strict'
import { test } from 'node:test'
import { removeRegistry, startRegistry } from '../../processes/registry-server.ts'
import { RegistryClient, sha256 } from '../load/registry-client.ts'
import { CountingRelay } from './counting-relay.ts'

test('bytes of blobs are counted in both directions, and those of manifests are not', async () => {
  const server = await startRegistry('stowage')
  const relay = await CountingRelay.start(server.url)
  const client = new RegistryClient(`http://${relay.host}`)
  try {
    const bytes = Buffer.alloc(70_000, 7)
    const digest = await client.pushBlob('app', bytes)
    assert.equal(relay.blobBytes, 70_000)
    await client.send({ method: 'HEAD', path: `/v2/app/blobs/${digest}` }, 200)
    assert.equal(relay.blobBytes, 70_000)
    const reply = await fetch(`http://${relay.host}/v2/app/blobs/${digest}`)
    assert.equal(sha256(Buffer.from(await reply.arrayBuffer())), digest)
    assert.equal(relay.blobBytes, 140_000)
    await client.pushManifest('app', 'v1', Buffer.from('{"schemaVersion":2,"manifests":[]}'), INDEX)
    assert.equal(relay.blobBytes, 140_000)
  } finally {
    await client.close()
    await relay.close()
    await removeRegistry(server)
  }
})

const INDEX = 'application/vnd.oci.image.index.v1+json'
