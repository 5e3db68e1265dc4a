// Two equal servers on one PostgreSQL and one bucket, from the sample that docs/operate/scale-out.md starts with, behind nginx.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { json, locationOf, send, type Target } from '../http/client.ts'
import { expectStatus, makeImage, openSession, pushImage, randomContent } from '../http/content.ts'
import { freePort } from '../processes/free-port.ts'
import { type PostgresServer, postgresAbsent, startPostgres } from '../processes/postgres-server.ts'
import { RunningProcess } from '../processes/running.ts'
import { ACCESS_KEY, gatewayIsMissing, S3Gateway, SECRET_KEY } from '../processes/s3-gateway.ts'
import { findProgram } from '../tools/find-program.ts'

const missing =
  postgresAbsent() ||
  gatewayIsMissing() ||
  (findProgram('nginx') === undefined && process.env['CI'] !== 'true' && 'nginx is not installed')

/** As the page has it, on other ports and without TLS. */
function nginxConfig(folder: string, port: number, ports: readonly number[]): string {
  const servers = ports.map((each) => `server 127.0.0.1:${each} max_fails=0;`).join(' ')
  return `pid ${folder}/nginx.pid; error_log stderr error; daemon off; worker_processes 1;
    events {}
    http {
      access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
      fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
      upstream stowage { ${servers} }
      server {
        listen 127.0.0.1:${port};
        client_max_body_size 0;
        location / {
          proxy_pass http://stowage;
          proxy_http_version 1.1;
          proxy_connect_timeout 1s;
          proxy_request_buffering off;
          proxy_buffering off;
          proxy_read_timeout 900s;
          proxy_next_upstream error timeout http_503;
          proxy_set_header Host $http_host;
          proxy_set_header X-Forwarded-Proto $scheme;
          proxy_set_header X-Forwarded-For $remote_addr;
        }
      }
    }`
}

describe('config/postgres-s3.yaml', { skip: missing }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'stowage-scale-out-'))
  const servers: { readonly process: RunningProcess; readonly port: number }[] = []
  let postgres: PostgresServer
  let gateway: S3Gateway
  let nginx: RunningProcess | undefined
  let front: Target
  let environment: Record<string, string>

  const startOne = async () => {
    const port = await freePort()
    const process_ = await RunningProcess.start(
      'stowage',
      process.execPath,
      ['bin/stowage.js', 'serve', 'config/postgres-s3.yaml'],
      { env: { ...environment, REGISTRY_HTTP_ADDR: `127.0.0.1:${port}` } },
    )
    servers.push({ process: process_, port })
    await process_.untilAnswers(`http://127.0.0.1:${port}/readyz`)
    return port
  }

  before(async () => {
    postgres = await startPostgres()
    gateway = await S3Gateway.start()
    environment = {
      REGISTRY_DATABASE_URL: await postgres.createDatabase(),
      REGISTRY_STORAGE_S3_BUCKET: gateway.newBucket(),
      REGISTRY_STORAGE_S3_REGION: 'us-east-1',
      REGISTRY_STORAGE_S3_REGIONENDPOINT: gateway.endpoint,
      REGISTRY_STORAGE_S3_ACCESSKEY: ACCESS_KEY,
      REGISTRY_STORAGE_S3_SECRETKEY: SECRET_KEY,
      REGISTRY_STORAGE_REDIRECT_DISABLE: 'true',
      REGISTRY_HTTP_SECRET: 'the same for both',
      REGISTRY_HTTP_HOST: '',
      REGISTRY_HTTP_DEBUG_ADDR: '',
      REGISTRY_LOG_ACCESSLOG_DISABLED: 'true',
      // Left to a worker.
      REGISTRY_JOBS_CONCURRENCY: '0',
    }
    const ports = [await startOne(), await startOne()]
    const port = await freePort()
    writeFileSync(join(folder, 'nginx.conf'), nginxConfig(folder, port, ports))
    nginx = await RunningProcess.start('nginx', findProgram('nginx') ?? 'nginx', [
      '-p',
      folder,
      '-c',
      join(folder, 'nginx.conf'),
    ])
    await nginx.untilAnswers(`http://127.0.0.1:${port}/v2/`)
    front = { port }
  })
  after(async () => {
    // Not killed: its workers would stay.
    await nginx?.stop()
    for (const { process: running } of servers) await running.kill()
    await gateway.stop()
    await postgres.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  const at = (n: number): Target => ({ port: servers[n]?.port ?? 0 })
  const pathOf = (location: string) => location.replace(/^https?:\/\/[^/]+/, '')

  test('an upload opens at one server, grows at the other and closes through the proxy', async () => {
    const blob = randomContent(300_000)
    const opened = pathOf(await openSession(at(0), 'team/app'))
    const grown = await send(at(1), 'PATCH', opened, { body: blob.bytes.subarray(0, 200_000) })
    expectStatus(grown, 202)
    const rest = await send(front, 'PATCH', pathOf(locationOf(grown)), { body: blob.bytes.subarray(200_000) })
    expectStatus(rest, 202)
    const url = new URL(pathOf(locationOf(rest)), 'http://any')
    url.searchParams.set('digest', blob.digest)
    expectStatus(await send(front, 'PUT', `${url.pathname}${url.search}`), 201)
    for (const n of [0, 1]) {
      const read = await send(at(n), 'GET', `/v2/team/app/blobs/${blob.digest}`)
      assert.ok(read.body.equals(blob.bytes))
    }
  })

  test('what one server takes away is gone at the other at once, also when it has just served it', async () => {
    const image = makeImage()
    await pushImage(at(0), 'team/gone', 'v1', image)
    const paths = [`/v2/team/gone/manifests/v1`, `/v2/team/gone/blobs/${image.layers[0]?.digest}`]
    for (const path of paths) expectStatus(await send(at(1), 'GET', path), 200)
    const other = makeImage()
    await pushImage(at(0), 'team/gone', 'v1', other)
    const moved = await send(at(1), 'GET', '/v2/team/gone/manifests/v1')
    assert.equal(moved.headers['docker-content-digest'], other.manifest.digest)
    expectStatus(await send(at(0), 'DELETE', '/v2/team/gone/manifests/v1'), 202)
    expectStatus(await send(at(0), 'DELETE', `/v2/team/gone/blobs/${image.layers[0]?.digest}`), 202)
    for (const path of paths) expectStatus(await send(at(1), 'GET', path), 404)
  })

  test('jobs that servers leave to others are done by a worker, which can be ended and is none of them', async () => {
    const job = async (body: object) => {
      const headers = { 'Content-Type': 'application/json' }
      return json(await send(at(0), 'POST', '/api/v1/jobs', { headers, body: JSON.stringify(body) })) as Job
    }
    const shown = async (id: number) => json(await send(at(1), 'GET', `/api/v1/jobs/${id}`)) as Job
    const { id } = await job({ kind: 'sweep-uploads', input: { ageSeconds: 3_600 } })
    await wait(1_500)
    assert.equal((await shown(id)).state, 'waiting')
    const worker = await RunningProcess.start(
      'worker',
      process.execPath,
      ['bin/stowage.js', 'worker', '--concurrency', '1', 'config/postgres-s3.yaml'],
      { env: environment },
    )
    try {
      const deadline = performance.now() + 20_000
      while ((await shown(id)).state !== 'done') {
        assert.ok(performance.now() < deadline && !worker.hasEnded, worker.output)
        await wait(100)
      }
    } finally {
      worker.signal('SIGTERM')
      assert.equal(await worker.untilEnds(20_000), 0)
    }
    assert.match(worker.output, /working/)
  })

  test('a worker without a database that others have says what it needs', async () => {
    const alone = await RunningProcess.start('worker', process.execPath, ['bin/stowage.js', 'worker'], {
      cwd: process.cwd(),
    })
    assert.equal(await alone.untilEnds(20_000), 1)
    assert.match(alone.output, /database\.url/)
  })

  test('clients that try again go on through the proxy when a server is killed, and when one is stopped for an update', async () => {
    for (const how of ['kill', 'stop'] as const) {
      const [gone] = servers.splice(0, 1)
      assert.ok(gone)
      if (how === 'kill') await gone.process.kill()
      else gone.process.signal('SIGTERM')
      for (let n = 0; n < 10; n++) {
        const image = makeImage()
        await asClientsDo(async () => {
          await pushImage(front, 'team/steady', `${how}-${n}`, image)
          const read = await send(front, 'GET', `/v2/team/steady/manifests/${how}-${n}`)
          assert.equal(read.headers['docker-content-digest'], image.manifest.digest)
        })
      }
      // On the port that the proxy knows.
      const again = await RunningProcess.start(
        'stowage',
        process.execPath,
        ['bin/stowage.js', 'serve', 'config/postgres-s3.yaml'],
        { env: { ...environment, REGISTRY_HTTP_ADDR: `127.0.0.1:${gone.port}` } },
      )
      servers.push({ process: again, port: gone.port })
      await again.untilAnswers(`http://127.0.0.1:${gone.port}/readyz`)
    }
  })
})

interface Job {
  readonly id: number
  readonly state: string
}

const TRIES = 5
const PAUSE_MS = 200

/** What a server had under way when it went breaks, and is tried again. */
async function asClientsDo(work: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await work()
      return
    } catch (error) {
      if (tries === TRIES) throw error
      await wait(PAUSE_MS)
    }
  }
}
