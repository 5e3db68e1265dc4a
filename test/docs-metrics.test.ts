// docs/reference/metrics.md lists what the server registers.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Metrics } from '#telemetry/metrics.ts'

const metrics = new Metrics()
const rows = readFileSync('docs/reference/metrics.md', 'utf8')
  .split('\n')
  .map(
    (line) =>
      /^\| (?<name>[a-z0-9_]+) \| (?<type>\w+) \| (?<labels>[^|]*)\| (?<help>[^|]+) \|$/.exec(line)?.groups,
  )
  .filter((row) => row !== undefined)

// The process metrics are Linux's: elsewhere prom-client knows fewer.
const isOurs = ({ name }: { name?: string }) => process.platform === 'linux' || name?.startsWith('stowage_')

test('the page of metrics lists every metric with its kind and meaning, and no other', async () => {
  assert.deepEqual(
    rows.filter(isOurs).map(({ name, type, help }) => ({ name, type, help })),
    (await metrics.exposition()).describe().filter(isOurs),
  )
})

test('the labels on the page are those of the samples', async () => {
  metrics.request('tags', 'GET', 200, 0.1, 1, 1)
  metrics.jobEnded('gc', 'done')
  metrics.limited('pulls', 'account')
  metrics.webhookTried('delivered')
  metrics.scrubFound('corrupt')
  const text = await (await metrics.exposition()).text()
  for (const { name = '', labels = '' } of rows.filter((row) => row['name']?.startsWith('stowage_'))) {
    const sample = new RegExp(`^${name}(?:_count)?\\{([^}]*)\\}`, 'm').exec(text)?.[1] ?? ''
    const used = [...sample.matchAll(/(\w+)="/g)].map((match) => match[1])
    assert.deepEqual(
      labels
        .split(', ')
        .map((label) => label.trim())
        .filter(Boolean),
      used,
      name,
    )
  }
})
