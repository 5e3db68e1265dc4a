import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Metrics } from '#telemetry/metrics.ts'
import { DURATION_BUCKETS, OPERATIONS_MAX, OTHER } from '#telemetry/request-cells.ts'

/** Samples by name and labels. */
async function samples(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await (await metrics.exposition()).text())
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  )
}

test('requests are counted by operation, method and status, and their bytes altogether', async () => {
  const metrics = new Metrics()
  metrics.request('manifest.pull', 'GET', 200, 0.001, 0, 1600)
  metrics.request('manifest.pull', 'GET', 200, 0.002, 0, 1600)
  metrics.request('manifest.pull', 'HEAD', 404, 0.002, 0, 0)
  metrics.request('blob.push', 'PUT', 201, 3, 5000, 0)
  for (let scrape = 0; scrape < 2; scrape++) {
    const found = await samples(metrics)
    const of = (labels: string) => found.get(`stowage_http_requests_total{${labels}}`)
    assert.equal(of('operation="manifest.pull",method="GET",status="200"'), 2)
    assert.equal(of('operation="manifest.pull",method="HEAD",status="404"'), 1)
    assert.equal(of('operation="blob.push",method="PUT",status="201"'), 1)
    assert.equal(found.get('stowage_received_bytes_total'), 5000)
    assert.equal(found.get('stowage_sent_bytes_total'), 3200)
  }
})

test('durations fall into cumulative buckets, the bound itself included', async () => {
  const metrics = new Metrics()
  for (const seconds of [0.0005, 0.0006, 0.3, 1e6]) metrics.request('tags', 'GET', 200, seconds, 0, 0)
  const found = await samples(metrics)
  const bucket = (le: string) =>
    found.get(`stowage_http_request_duration_seconds_bucket{le="${le}",operation="tags"}`)
  assert.deepEqual(
    [bucket('0.0005'), bucket('0.001'), bucket('0.25'), bucket('0.5'), bucket('600')],
    [1, 2, 2, 3, 3],
  )
  assert.equal(bucket('+Inf'), 4)
  assert.equal(found.get('stowage_http_request_duration_seconds_count{operation="tags"}'), 4)
  assert.equal(found.get('stowage_http_request_duration_seconds_sum{operation="tags"}'), 1e6 + 0.3011)
  const buckets = [...found.keys()].filter((name) => name.includes('duration_seconds_bucket'))
  assert.equal(buckets.length, DURATION_BUCKETS.length + 1)
})

test('strange methods, statuses and too many operations do not make more series', async () => {
  const metrics = new Metrics()
  for (let n = 0; n < 1000; n++) metrics.request(`operation ${n}`, `METHOD${n}`, 700 + n, 0, 0, 0)
  const series = [...(await samples(metrics)).keys()].filter((name) =>
    name.startsWith('stowage_http_requests_total'),
  )
  assert.ok(series.length <= OPERATIONS_MAX + 1)
  assert.ok(series.includes(`stowage_http_requests_total{operation="${OTHER}",method="other",status="599"}`))
})

test('a gauge is asked when it is scraped; one that fails has no sample and hides no other', async () => {
  const metrics = new Metrics()
  let open = 3
  metrics.watch('stowage_uploads_open', () => open)
  metrics.watch('stowage_store_blobs', async () => 7)
  metrics.watch('stowage_store_bytes', () => Promise.reject(new Error('the Db is closed')))
  assert.equal((await samples(metrics)).get('stowage_uploads_open'), 3)
  open = 5
  metrics.watch('stowage_store_blobs', () => {
    throw new Error('gone')
  })
  const found = await samples(metrics)
  assert.equal(found.get('stowage_uploads_open'), 5)
  for (const name of ['stowage_store_blobs', 'stowage_store_bytes', 'stowage_event_lag'])
    assert.equal(found.has(name), false)
})

test('dropped events, failed logins and the process itself are told', async () => {
  const metrics = new Metrics()
  metrics.readEventsDropped(4)
  metrics.authFailed()
  metrics.authFailed()
  const found = await samples(metrics)
  assert.equal(found.get('stowage_read_events_dropped_total'), 4)
  assert.equal(found.get('stowage_auth_failures_total'), 2)
  assert.ok((found.get('process_resident_memory_bytes') ?? 0) > 1e6)
})

test('two registries in one process do not share numbers', async () => {
  const [one, two] = [new Metrics(), new Metrics()]
  one.request('tags', 'GET', 200, 0, 1, 1)
  assert.equal((await samples(one)).get('stowage_sent_bytes_total'), 1)
  assert.equal((await samples(two)).get('stowage_sent_bytes_total'), 0)
})

test('a request is counted in well under a microsecond of CPU', () => {
  const metrics = new Metrics()
  const count = () => {
    for (let n = 0; n < 300_000; n++)
      metrics.request(n & 1 ? 'manifest.pull' : 'blob.pull', 'GET', 200, (n % 50) / 1000, 0, 1600)
  }
  count()
  const before = process.cpuUsage()
  count()
  assert.ok(process.cpuUsage(before).user / 300_000 < 1)
})
