// Both registries through S3: what is pushed and pulled, what lists cost, and the memory of many uploads.
import { join } from 'node:path'
import type { RegistryKind } from '../../processes/registry-server.ts'
import { S3Gateway } from '../../processes/s3-gateway.ts'
import { memoryOf } from '../../processes/usage.ts'
import { compare, type Row, ratiosOf } from '../comparison.ts'
import type { Finding } from '../findings/finding.ts'
import { upload } from '../findings/memory.ts'
import type { Effort, Required, Scenario, Side } from '../scenario.ts'
import { pullBulk } from '../scenarios/pull-bulk.ts'
import { pushBulk } from '../scenarios/push-bulk.ts'
import { pushSmall } from '../scenarios/push-small.ts'
import { readScenarios } from '../scenarios/reads.ts'
import { withSides } from '../sides.ts'
import { listing } from './listings.ts'
import { writeTree } from './made-tree.ts'
import { openS3Side } from './s3-sides.ts'

const MiB = 1024 * 1024
const UPLOADS_AT_ONCE = 16

export interface S3Comparison {
  readonly quick: boolean
  /** Only rows whose names begin so. */
  readonly names: readonly string[]
  readonly say: (line: string) => void
}

export async function compareOnS3(
  effort: Effort,
  comparison: S3Comparison,
): Promise<{ rows: Row[]; findings: Finding[] }> {
  const gateway = await S3Gateway.start(effort.workspace)
  try {
    const isWanted = (name: string) => comparison.names.some((wanted) => name.startsWith(wanted))
    const rows = await transfers(effort, gateway, comparison, isWanted)
    if (isWanted('catalog')) rows.push(await listings(effort, gateway, comparison))
    const findings = isWanted('memory') ? await memory(effort, gateway, comparison.quick) : []
    return { rows, findings }
  } finally {
    await gateway.stop()
  }
}

function sidesOn(gateway: S3Gateway, effort: Effort, bucketOf: (kind: RegistryKind) => string) {
  const open = (kind: RegistryKind) => () => openS3Side(kind, gateway, bucketOf(kind), effort.workspace)
  return [open('stowage'), open('distribution')]
}

function required(scenario: Scenario, limits: Required): Scenario {
  return { ...scenario, required: limits }
}

async function transfers(
  effort: Effort,
  gateway: S3Gateway,
  { say }: S3Comparison,
  isWanted: (name: string) => boolean,
): Promise<Row[]> {
  const byTag = readScenarios().filter(({ name }) => name === 'manifest-get-tag')
  const scenarios = [
    required(pushBulk, { cpuAtMost: 0.7, rateAtLeast: 1.0 }),
    required(pullBulk(), { cpuAtMost: 1.0, rateAtLeast: 1.0 }),
    required(pushSmall, { cpuAtMost: 0.5, rateAtLeast: 2.0 }),
    ...byTag.map((scenario) => required(scenario, { cpuAtMost: 0.1, rateAtLeast: 10 })),
  ].filter(({ name }) => isWanted(name))
  return withSides(
    sidesOn(gateway, effort, () => gateway.newBucket()),
    async (ours, theirs) => {
      const rows: Row[] = []
      if (!ours || !theirs) return rows
      for (const scenario of scenarios) rows.push(await told(scenario, ours, theirs, effort, say))
      return rows
    },
  )
}

async function told(scenario: Scenario, ours: Side, theirs: Side, effort: Effort, say: S3Comparison['say']) {
  const row = await compare(scenario, ours, theirs, effort)
  const { cpu, rate } = ratiosOf(row)
  say(`${scenario.name.padEnd(22)} CPU ${cpu.toFixed(2)}x, rate ${rate.toFixed(2)}x`)
  return row
}

/** One tree, which both read. */
async function listings(effort: Effort, gateway: S3Gateway, { quick, say }: S3Comparison): Promise<Row> {
  const repositories = quick ? 1_000 : 10_000
  const bucket = gateway.newBucket()
  writeTree(join(gateway.folder, bucket), repositories)
  return withSides(
    sidesOn(gateway, effort, () => bucket),
    async (ours, theirs) => {
      if (!ours || !theirs) throw new Error('two sides are needed')
      return told(listing(repositories), ours, theirs, effort, say)
    },
  )
}

/** Each side alone, and started anew: what counts is the most that it ever held. */
async function memory(effort: Effort, gateway: S3Gateway, quick: boolean): Promise<Finding[]> {
  const bytesEach = (quick ? 32 : 128) * MiB
  const peaks = new Map<string, number>()
  for (const open of sidesOn(gateway, effort, () => gateway.newBucket())) {
    await withSides([open], async (side) => {
      if (!side) return
      await Promise.all(Array.from({ length: UPLOADS_AT_ONCE }, () => upload(side, bytesEach)))
      peaks.set(side.name, memoryOf(side.server.process.pid).peakBytes)
    })
  }
  const [ours = 0, theirs = 0] = [peaks.get('stowage'), peaks.get('distribution')]
  const what = `${UPLOADS_AT_ONCE} uploads of ${bytesEach / MiB} MiB at once: peak memory`
  return [
    {
      title: `${what}, ours / theirs`,
      value: ours / theirs,
      unit: 'x',
      atMost: 0.5,
      note: `${Math.round(ours / 1e6)} / ${Math.round(theirs / 1e6)} MB (VmHWM)`,
    },
  ]
}
