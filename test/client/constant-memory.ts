// Pulls 8 layers of 256 MB, made as they are sent, into a folder, and fails when the client needed more than 200 MB for it.
// Not part of npm test, but of .ci/run: it writes 2 GB. Run with: node test/client/constant-memory.ts [layers] [megabytes]
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copy } from '#client/copy.ts'
import { LayoutPlace } from '#client/layout-place.ts'
import { RegistryClient } from '#client/registry-client.ts'
import { RegistryPlace } from '#client/registry-place.ts'
import { digestOf } from '#oci/digest.ts'
import { OCI_CONFIG, OCI_MANIFEST } from '#oci/media-types.ts'
import { parseRepositoryName } from '#oci/reference.ts'
import { LATEST, LAYER } from './made-images.ts'

const PEAK_BYTES_MAX = 200_000_000
const PIECE_BYTES = 1_000_000
const SERVE = 'serve'
const [layerCount = 8, layerMegabytes = 256] = process.argv.slice(2, 4).map(Number)

/** A layer is one piece over and over, so that it need not be kept. */
function pieceOf(layer: number): Buffer {
  return Buffer.alloc(PIECE_BYTES, `layer ${layer} `)
}

/** The registry, in a process of its own so that its memory is not taken for that of the client. */
function serve(): void {
  const layers = Array.from({ length: layerCount }, (_, layer) => {
    const hash = createHash('sha256')
    for (let sent = 0; sent < layerMegabytes; sent++) hash.update(pieceOf(layer))
    return { mediaType: LAYER, digest: `sha256:${hash.digest('hex')}`, size: layerMegabytes * PIECE_BYTES }
  })
  const config = Buffer.from('{"os":"linux","architecture":"amd64"}')
  const configDescriptor = { mediaType: OCI_CONFIG, digest: digestOf(config), size: config.byteLength }
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: configDescriptor,
    layers,
  })

  const server = createServer((request, response) => {
    const url = request.url ?? ''
    const layer = layers.findIndex(({ digest }) => url.endsWith(digest))
    if (url.includes('/manifests/')) {
      response.writeHead(200, { 'content-type': OCI_MANIFEST, 'content-length': Buffer.byteLength(manifest) })
      response.end(manifest)
    } else if (layer === -1) response.end(config)
    else {
      response.writeHead(200, { 'content-length': layerMegabytes * PIECE_BYTES })
      const piece = pieceOf(layer)
      let left = layerMegabytes
      const more = () => {
        while (left > 0) {
          left -= 1
          if (!response.write(piece)) return
        }
        response.off('drain', more)
        response.end()
      }
      response.on('drain', more)
      more()
    }
  })
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
  process.once('disconnect', () => process.exit())
}

async function pull(): Promise<void> {
  const server = fork(import.meta.filename, [String(layerCount), String(layerMegabytes), SERVE])
  const folder = await mkdtemp(join(tmpdir(), 'constant-memory-'))
  const [port] = await once(server, 'message')
  const client = new RegistryClient({ host: `127.0.0.1:${port}`, plainHttp: true })
  try {
    const source = new RegistryPlace({ client, repository: parseRepositoryName('app') })
    const started = performance.now()
    const options = { reference: { tag: LATEST }, tags: [LATEST] }
    const { copied } = await copy(source, new LayoutPlace(folder), options)
    const seconds = (performance.now() - started) / 1000
    const peak = process.resourceUsage().maxRSS * 1024
    const megabytes = Math.round(peak / 1e6)
    console.log(`${copied.bytes} bytes in ${seconds.toFixed(1)} s, at most ${megabytes} MB of memory`)
    if (peak > PEAK_BYTES_MAX) process.exitCode = 1
  } finally {
    await client.close()
    server.disconnect()
    await rm(folder, { recursive: true, force: true })
  }
}

if (process.argv[4] === SERVE) serve()
else await pull()
