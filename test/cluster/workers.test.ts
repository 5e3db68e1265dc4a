// One server of several processes on one machine, as an operator starts it: `http.workers` above 1.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import bcrypt from 'bcrypt'
import { digestOf } from '#oci/digest.ts'
import { type Answer, begin, collect, locationOf, responseTo, send } from '../http/client.ts'
import {
  contentOf,
  expectStatus,
  makeImage,
  openSession,
  pushBlob,
  pushImage,
  randomContent,
} from '../http/content.ts'
import { freePort } from '../processes/free-port.ts'
import {
  launchRegistry,
  type RegistryServer,
  removeRegistry,
  restartRegistry,
  startRegistry,
} from '../processes/registry-server.ts'
import { childrenOf } from '../processes/usage.ts'

const WORKERS = 3
/** So many new connections, dealt out by chance, come to every worker but once in thousands of runs. */
const ROUNDS = 10 * WORKERS

let server: RegistryServer
let target: { readonly port: number }
let debugPort: number
before(async () => {
  debugPort = await freePort()
  server = await startRegistry('stowage', {
    http: {
      workers: WORKERS,
      debug: { addr: `127.0.0.1:${debugPort}`, prometheus: { enabled: true } },
    },
  })
  target = { port: Number(server.host.split(':')[1]) }
})
after(() => removeRegistry(server))

async function everywhere(method: string, path: string): Promise<Answer[]> {
  const answers: Answer[] = []
  for (let round = 0; round < ROUNDS; round++) answers.push(await send(target, method, path))
  return answers
}

const statuses = (answers: readonly Answer[]) => [...new Set(answers.map(({ status }) => status))]

async function until<T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const deadline = performance.now() + 40_000
  while (performance.now() < deadline) {
    const seen = await look()
    if (seen !== undefined) return seen
    await wait(50)
  }
  throw new Error(`${what} did not come about:\n${server.process.output}`)
}

/** Every worker serves. */
function allServe(): Promise<true> {
  return until('every worker', async () => {
    const { status } = await fetch(`http://127.0.0.1:${debugPort}/debug/health`)
    return status === 200 ? true : undefined
  })
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${debugPort}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
}

test('there are as many workers as are asked for, and their numbers are added up', async () => {
  await allServe()
  assert.equal(childrenOf(server.process.pid).length, WORKERS)
  const series = 'stowage_http_requests_total{operation="tags.list",method="GET",status="404"}'.replace(
    /[{}]/g,
    '\\$&',
  )
  assert.deepEqual(statuses(await everywhere('GET', '/v2/nowhere/tags/list')), [404])
  assert.equal(await metric(series), ROUNDS)
})

describe('an upload', () => {
  test('may be opened, continued and closed at another process each time', async () => {
    for (let round = 0; round < 10; round++) {
      const bytes = randomBytes(300_000)
      const location = await openSession(target, 'moving')
      for (const [start, end] of [
        [0, 100_000],
        [100_000, 250_000],
      ] as const) {
        const answer = await send(target, 'PATCH', location, {
          headers: { 'Content-Range': `${start}-${end - 1}` },
          body: bytes.subarray(start, end),
        })
        expectStatus(answer, 202)
        assert.equal(answer.headers.range, `0-${end - 1}`)
        assert.equal((await send(target, 'GET', location)).headers.range, `0-${end - 1}`)
      }
      const digest = digestOf(bytes)
      const body = bytes.subarray(250_000)
      expectStatus(await send(target, 'PUT', `${location}?digest=${digest}`, { body }), 201)
      for (const answer of await everywhere('GET', `/v2/moving/blobs/${digest}`))
        assert.ok(answer.body.equals(bytes))
    }
  })

  test('is taken over by a newer request at another process, and the older one is told', async () => {
    const bytes = randomBytes(3_000_000)
    const location = await openSession(target, 'taken')
    const older = begin(target, 'PATCH', location, { headers: { 'Transfer-Encoding': 'chunked' } })
    const told = responseTo(older).then(collect)
    older.write(bytes.subarray(0, 2_000_000))
    await until('the first bytes', async () => {
      const { headers } = await send(target, 'GET', location)
      return headers.range === '0-0' ? undefined : true
    })
    const rest = await until('the newer request', async () => {
      const last = Number(String((await send(target, 'GET', location)).headers.range).slice(2))
      const start = last === 0 ? 0 : last + 1
      const answer = await send(target, 'PATCH', location, {
        headers: { 'Content-Range': `${start}-${bytes.length - 1}` },
        body: bytes.subarray(start),
      })
      // The older one may have come a little further between the two requests.
      return answer.status === 416 ? undefined : answer
    })
    expectStatus(rest, 202)
    assert.equal((await told).status, 409)
    expectStatus(await send(target, 'PUT', `${location}?digest=${digestOf(bytes)}`), 201)
  })
})

test('what is deleted is gone at every process at once, also where it was in a cache', async () => {
  const image = makeImage()
  const [layer] = image.layers
  assert.ok(layer)
  await pushImage(target, 'gone', 'v1', image)
  const manifest = `/v2/gone/manifests/${image.manifest.digest}`
  const blob = `/v2/gone/blobs/${layer.digest}`
  for (const path of [manifest, '/v2/gone/manifests/v1', blob])
    assert.deepEqual(statuses(await everywhere('GET', path)), [200])
  expectStatus(await send(target, 'DELETE', blob), 202)
  assert.deepEqual(statuses(await everywhere('HEAD', blob)), [404])
  assert.deepEqual(statuses(await everywhere('GET', blob)), [404])
  expectStatus(await send(target, 'DELETE', manifest), 202)
  for (const path of [manifest, '/v2/gone/manifests/v1'])
    assert.deepEqual(statuses(await everywhere('GET', path)), [404])
})

test('a worker that is killed in the middle of uploads takes nothing along that was acknowledged', async () => {
  const stop = new AbortController()
  const acknowledged: { readonly name: string; readonly digest: string; readonly bytes: Buffer }[] = []
  const push = async (name: string) => {
    const agent = new Agent({ keepAlive: true })
    while (!stop.signal.aborted) {
      const bytes = randomBytes(50_000)
      const digest = digestOf(bytes)
      try {
        const opened = await send(target, 'POST', `/v2/${name}/blobs/uploads/`, { agent })
        const location = locationOf(opened)
        await send(target, 'PATCH', location, { agent, body: bytes.subarray(0, 20_000) })
        const path = `${location}?digest=${digest}`
        const { status } = await send(target, 'PUT', path, { body: bytes.subarray(20_000) })
        if (status === 201) acknowledged.push({ name, digest, bytes })
      } catch {
        // The process that had this connection is gone.
      }
    }
    agent.destroy()
  }
  const pushers = ['k1', 'k2', 'k3', 'k4'].map(push)
  const before = await metric('stowage_received_bytes_total')
  for (let kill = 0; kill < 4; kill++) {
    await wait(600)
    const victim = await until('a worker', () => childrenOf(server.process.pid)[kill % 2])
    process.kill(victim, 'SIGKILL')
    await wait(100)
    await allServe()
  }
  await wait(600)
  stop.abort()
  await Promise.all(pushers)
  assert.ok(acknowledged.length > 20, `${acknowledged.length} were acknowledged`)
  for (const { name, digest, bytes } of acknowledged) {
    const { status, body } = await send(target, 'GET', `/v2/${name}/blobs/${digest}`)
    assert.ok(status === 200 && body.equals(bytes), `${digest} is ${status}`)
  }
  assert.ok((await metric('stowage_received_bytes_total')) >= before, 'counts do not fall when a worker ends')
})

test('an upload that a killed worker was writing goes on at once at another', async () => {
  await allServe()
  const bytes = randomBytes(2_000_000)
  const location = await openSession(target, 'orphaned')
  const cut = begin(target, 'PATCH', location, { headers: { 'Transfer-Encoding': 'chunked' } })
  cut.write(bytes.subarray(0, 1_500_000))
  const offset = async () => Number(String((await send(target, 'GET', location)).headers.range).slice(2))
  await until('the first bytes', async () => ((await offset()) > 1_000_000 ? true : undefined))
  // Whichever has it: all of them.
  for (const pid of childrenOf(server.process.pid)) process.kill(pid, 'SIGKILL')
  const last = await until('other workers', () => offset().catch(() => undefined))
  const start = performance.now()
  const answer = await send(target, 'PATCH', location, {
    headers: { 'Content-Range': `${last + 1}-${bytes.length - 1}` },
    body: bytes.subarray(last + 1),
  })
  expectStatus(answer, 202)
  expectStatus(await send(target, 'PUT', `${location}?digest=${digestOf(bytes)}`), 201)
  assert.ok(performance.now() - start < 2_500, 'nobody waited for the dead')
  const { body } = await send(target, 'GET', `/v2/orphaned/blobs/${digestOf(bytes)}`)
  assert.ok(body.equals(bytes))
})

test('link files are written for what any worker took', async () => {
  await allServe()
  const image = makeImage()
  await pushImage(target, 'linked', 'v1', image)
  const { existsSync } = await import('node:fs')
  const link = join(
    server.folder,
    'data/docker/registry/v2/repositories/linked/_manifests/tags/v1/current/link',
  )
  await until('the link file', () => (existsSync(link) ? true : undefined))
})

test('a stop lets transfers finish, whichever worker has them', async () => {
  const contents = [0, 1, 2].map(() => randomContent(2_000_000))
  const own = await startRegistry('stowage', { http: { workers: WORKERS, draintimeout: '8s' } })
  const there = { port: Number(own.host.split(':')[1]) }
  try {
    const uploads = await Promise.all(
      contents.map(async ({ bytes, digest }) => {
        const location = await openSession(there, 'draining')
        const put = begin(there, 'PUT', `${location}?digest=${digest}`, {
          headers: { 'Content-Length': String(bytes.length) },
        })
        put.write(bytes.subarray(0, 1_500_000))
        await until('the first bytes', async () => {
          const { headers } = await send(there, 'GET', location)
          return headers.range === '0-0' ? undefined : true
        })
        return { finish: () => put.end(bytes.subarray(1_500_000)), told: responseTo(put).then(collect) }
      }),
    )
    own.process.signal('SIGTERM')
    await wait(300)
    for (const { finish } of uploads) finish()
    for (const { told } of uploads) assert.equal((await told).status, 201)
    assert.equal(await own.process.untilEnds(20_000), 0)
  } finally {
    await removeRegistry(own)
  }
})

test('limits of requests hold for all workers together', async () => {
  const own = await startRegistry('stowage', {
    http: { workers: WORKERS },
    config: { ratelimits: { anonymous: { requests: '60/24h' } } },
  })
  const there = { port: Number(own.host.split(':')[1]) }
  try {
    let [allowed, refusedInTurn] = [0, 0]
    while (refusedInTurn < ROUNDS) {
      const { status } = await send(there, 'GET', '/v2/')
      if (status === 200) allowed += 1
      refusedInTurn = status === 429 ? refusedInTurn + 1 : 0
      // What a worker let through others know within a second: that is little at this pace.
      await wait(30)
      assert.ok(allowed < 2 * 60, `${allowed} were allowed: each worker counts for itself`)
    }
    // The wait for the server's first answer counts too.
    assert.ok(allowed > 50, `${allowed} were allowed`)
  } finally {
    await removeRegistry(own)
  }
})

/** Also when nobody has asked for its exit code: the system keeps it as a zombie then. */
function hasEnded(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.startsWith('Z') ?? true
  } catch {
    return true
  }
}

test('when the primary is killed its workers end, and the next server has the folder', async () => {
  const own = await startRegistry('stowage', { http: { workers: 2 } })
  const there = { port: Number(own.host.split(':')[1]) }
  const content = contentOf('kept')
  await pushBlob(there, 'kept', content)
  const workers = childrenOf(own.process.pid)
  await own.process.kill()
  const next = await restartRegistry(own)
  try {
    assert.equal((await send(there, 'GET', `/v2/kept/blobs/${content.digest}`)).status, 200)
    for (const pid of workers) assert.ok(hasEnded(pid), `worker ${pid} goes on`)
    const refused = await launchRegistry(next)
    assert.equal(await refused.untilEnds(30_000), 1)
    assert.match(refused.output, /another server has the folder/)
  } finally {
    await removeRegistry(next)
  }
})

test('a start that fails is told once', async () => {
  const own = await startRegistry('stowage', { http: { workers: 2 } })
  try {
    const other = await launchWith(own.host)
    assert.equal(await other.untilEnds(20_000), 1)
    assert.equal(other.output.match(/EADDRINUSE/g)?.length, 1, other.output)
  } finally {
    await removeRegistry(own)
  }
})

async function launchWith(addr: string) {
  const { mkdtempSync } = await import('node:fs')
  const { tmpdir } = await import('node:os')
  const { stringify } = await import('yaml')
  const folder = mkdtempSync(join(tmpdir(), 'stowage-clash-'))
  const storage = { filesystem: { rootdirectory: join(folder, 'data') } }
  writeFileSync(join(folder, 'config.yml'), stringify({ version: 0.1, storage, http: { addr, workers: 2 } }))
  return launchRegistry({ ...server, folder })
}

test('SIGHUP has every worker read the users again', async () => {
  const file = join(server.folder, 'htpasswd')
  const line = (name: string) => `${name}:${bcrypt.hashSync('secret', 4)}\n`
  writeFileSync(file, line('ann'))
  const own = await startRegistry('stowage', {
    http: { workers: WORKERS },
    config: { auth: { htpasswd: { realm: 'r', path: file } } },
  })
  const as = (name: string) => ({
    port: Number(own.host.split(':')[1]),
    headers: { Authorization: `Basic ${Buffer.from(`${name}:secret`).toString('base64')}` },
  })
  try {
    assert.equal((await send(as('bob'), 'GET', '/v2/')).status, 401)
    writeFileSync(file, line('ann') + line('bob'))
    own.process.signal('SIGHUP')
    await until('the new user', async () => {
      for (let round = 0; round < ROUNDS; round++)
        if ((await send(as('bob'), 'GET', '/v2/')).status !== 200) return undefined
      return true
    })
  } finally {
    await removeRegistry(own)
  }
})
