// How a server stops, and that a folder has one server: SIGTERM during a transfer, a second SIGTERM, SIGHUP, the lock.
import { once } from 'node:events'
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { digestOf } from '#oci/digest.ts'
import { removeRegistry, restartRegistry, startRegistry } from '../processes/registry-server.ts'
import { RunningProcess } from '../processes/running.ts'

const STEP_MS = 100

/** Sends a blob in pieces, and calls `between` after the first one. */
async function slowPush(host: string, bytes: Buffer, between: () => void): Promise<number> {
  const digest = digestOf(bytes)
  const sending = request(`http://${host}/v2/stops/app/blobs/uploads/?digest=${digest}`, {
    method: 'POST',
    headers: { 'content-length': bytes.length },
  })
  const answered = once(sending, 'response')
  const pieces = 8
  for (let piece = 0; piece < pieces; piece++) {
    sending.write(bytes.subarray((bytes.length * piece) / pieces, (bytes.length * (piece + 1)) / pieces))
    await sleep(STEP_MS)
    if (piece === 1) between()
  }
  sending.end()
  const [response] = await answered
  response.resume()
  return response.statusCode
}

export async function stopsRun(): Promise<string[]> {
  const faults: string[] = []
  let server = await startRegistry('stowage')
  try {
    process.kill(server.process.pid, 'SIGHUP')
    await sleep(STEP_MS)
    if ((await fetch(`${server.url}/v2/`)).status !== 200) faults.push('no service after SIGHUP')

    const second = await RunningProcess.start('second', process.execPath, [
      'bin/stowage.js',
      'serve',
      `${server.folder}/config.yml`,
    ])
    while (!second.hasEnded) await sleep(STEP_MS)
    if (!second.output.includes(`process ${server.process.pid}`))
      faults.push(`the second server says: ${second.output}`)

    const bytes = Buffer.alloc(800_000, 7)
    const status = await slowPush(server.host, bytes, () => process.kill(server.process.pid, 'SIGTERM'))
    if (status !== 201) faults.push(`a push during a stop is answered ${status}`)
    if (!(await server.process.stop())) faults.push('the server did not stop by itself')

    server = await restartRegistry(server)
    const head = await fetch(`${server.url}/v2/stops/app/blobs/${digestOf(bytes)}`, { method: 'HEAD' })
    if (head.status !== 200) faults.push('a push that was acknowledged during the stop is gone')
    await server.process.kill()
    server = await restartRegistry(server)
    if ((await fetch(`${server.url}/v2/`)).status !== 200) faults.push('no start after SIGKILL')
  } finally {
    await removeRegistry(server)
  }
  return faults
}
