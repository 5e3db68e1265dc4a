// Ctrl-C in the middle of a transfer: the real program, and a registry that stops in the middle of a layer.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { EXIT } from '#cli/output.ts'
import { OCI_MANIFEST } from '#oci/media-types.ts'
import { makeImage, randomContent } from '../http/content.ts'
import { scratchFolder } from './run.ts'

const home = scratchFolder()
after(() => rmSync(home, { recursive: true }))

const STOWAGE = join(import.meta.dirname, '..', '..', 'bin', 'stowage.js')

for (const [target, where] of [
  ['app.tar', 'an archive'],
  ['app', 'a folder'],
] as const) {
  test(`Ctrl-C in the middle of a pull to ${where} ends with 130 and leaves no part behind`, async () => {
    const layer = randomContent(1_000_000)
    const image = makeImage([layer])
    let half: (response: ServerResponse) => void = () => {}
    const inTheMiddle = new Promise<ServerResponse>((resolve) => {
      half = resolve
    })
    const server = createServer((request, response) => {
      const { url = '' } = request
      if (url.includes('/manifests/')) {
        response.setHeader('Content-Type', OCI_MANIFEST)
        response.setHeader('Docker-Content-Digest', image.manifest.digest)
        response.end(image.manifest.bytes)
      } else if (url.endsWith(layer.digest)) {
        response.setHeader('Content-Length', layer.bytes.length)
        response.write(layer.bytes.subarray(0, 500_000), () => half(response))
      } else if (url.endsWith(image.config.digest)) response.end(image.config.bytes)
      else response.end()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const folder = join(home, where.replace(' ', '-'))
    mkdirSync(folder)
    const { port } = server.address() as AddressInfo
    const args = [STOWAGE, 'pull', '--plain-http', `127.0.0.1:${port}/app:1`, `./${target}`]
    const child = spawn(process.execPath, args, {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], HOME: home },
    })
    let notes = ''
    child.stderr.on('data', (chunk: Buffer) => {
      notes += chunk.toString()
    })
    try {
      await Promise.race([inTheMiddle, once(child, 'exit')])
      child.kill('SIGINT')
      const [code] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode]
      assert.equal(code, EXIT.interrupted, notes)
      assert.match(notes, /interrupted/)
      const left = readdirSync(folder, { recursive: true }).map(String)
      assert.deepEqual(
        left.filter((name) => /part|lock|ingest|\.tar$/.test(name)),
        [],
      )
    } finally {
      child.kill('SIGKILL')
      server.closeAllConnections()
      server.close()
    }
  })
}
