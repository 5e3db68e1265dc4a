// One server a folder, on a disk of this machine, with whatever an earlier one left there.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { json, send } from './client.ts'
import { makeImage, pushImage } from './content.ts'
import { startServer } from './server.ts'

test('a second server on the same folder refuses to start and names the first, which serves on', async () => {
  await using first = await startServer({ onDisk: true })
  await pushImage(first, 'app', 'v1', makeImage())
  await assert.rejects(startServer({ onDisk: true, folder: first.folder }), (error: Error) => {
    assert.match(
      error.message,
      new RegExp(`another server has the folder .*process ${process.pid} on .+, running since 20`),
    )
    return true
  })
  assert.equal((await send(first, 'GET', '/v2/app/manifests/v1')).status, 200)
  const { port } = first
  await first.stop()
  await using second = await startServer({ onDisk: true, folder: first.folder })
  assert.notEqual(second.port, port)
  assert.equal((await send(second, 'GET', '/v2/app/manifests/v1')).status, 200)
})

test('everything that was pushed is there after a restart, and listed', async () => {
  await using server = await startServer({ onDisk: true })
  const images = [makeImage(), makeImage()]
  for (const [number, image] of images.entries()) await pushImage(server, 'team/app', `v${number}`, image)
  await server.restart()
  assert.deepEqual(json(await send(server, 'GET', '/v2/_catalog')), { repositories: ['team/app'] })
  assert.deepEqual(json(await send(server, 'GET', '/v2/team/app/tags/list')), {
    name: 'team/app',
    tags: ['v0', 'v1'],
  })
  for (const [number, image] of images.entries()) {
    const manifest = await send(server, 'GET', `/v2/team/app/manifests/v${number}`)
    assert.ok(manifest.body.equals(image.manifest.bytes))
    for (const content of [image.config, ...image.layers])
      assert.ok(
        (await send(server, 'GET', `/v2/team/app/blobs/${content.digest}`)).body.equals(content.bytes),
      )
  }
})

test('a port that is taken stops the start, and the folder is free again', async () => {
  await using first = await startServer()
  const folder = await mkdtemp(join(tmpdir(), 'stowage-taken-'))
  try {
    const env = { REGISTRY_HTTP_ADDR: `127.0.0.1:${first.port}` }
    await assert.rejects(startServer({ onDisk: true, folder, env }), /EADDRINUSE/)
    await using second = await startServer({ onDisk: true, folder })
    assert.equal((await send(second, 'GET', '/v2/')).status, 200)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('a folder that is a file stops the start with a sentence that names it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'stowage-file-'))
  try {
    await writeFile(join(folder, 'data'), 'in the way')
    await assert.rejects(startServer({ onDisk: true, folder }), new RegExp(join(folder, 'data')))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('storage in memory leaves nothing behind and begins empty', async () => {
  await using server = await startServer()
  await pushImage(server, 'app', 'v1', makeImage())
  await server.restart()
  assert.deepEqual(json(await send(server, 'GET', '/v2/_catalog')), { repositories: [] })
})
