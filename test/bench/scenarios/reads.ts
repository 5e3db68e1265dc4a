// The many small reads: one URL, asked for again and again over 32 connections.
import { randomBytes } from 'node:crypto'
import { OCI_MANIFEST } from '#oci/media-types.ts'
import { getMany, headMany } from '../load/generators.ts'
import { EMPTY_INDEX, pushUsualImage } from '../load/images.ts'
import { CONNECTIONS_MAX, inParallel, sha256 } from '../load/registry-client.ts'
import type { Required, Scenario, Side } from '../scenario.ts'

const TAGS = 2_000
const REPOSITORIES = 300
const PAGE = 100
const SMALL_BLOB_BYTES = 4_096

interface Read {
  readonly name: string
  readonly title: string
  readonly method: 'GET' | 'HEAD'
  readonly required: Required
  /** Puts content into the registry and returns the path to ask for. */
  readonly prepare: (side: Side) => Promise<string>
}

const MANIFEST: Required = { cpuAtMost: 0.25, rateAtLeast: 2.2 }
const LISTING: Required = { cpuAtMost: 0.08, rateAtLeast: 6 }

/** The same image for all four rows of manifests; it has the same size on both sides, not the same content. */
async function manifestPath(side: Side, by: 'tag' | 'digest'): Promise<string> {
  const manifest = await pushUsualImage(side.client, 'bench/manifest', 'latest')
  return `/v2/bench/manifest/manifests/${by === 'tag' ? 'latest' : sha256(manifest)}`
}

async function smallBlobPath(side: Side): Promise<string> {
  const digest = await side.client.pushBlob('bench/blob', randomBytes(SMALL_BLOB_BYTES))
  return `/v2/bench/blob/blobs/${digest}`
}

async function tagPagePath(side: Side): Promise<string> {
  const manifest = await pushUsualImage(side.client, 'bench/tags', 'latest')
  await inParallel(TAGS - 1, CONNECTIONS_MAX, (index) =>
    side.client.pushManifest('bench/tags', `v1.${index}`, manifest, OCI_MANIFEST),
  )
  return `/v2/bench/tags/tags/list?n=${PAGE}`
}

async function catalogPagePath(side: Side): Promise<string> {
  await inParallel(REPOSITORIES, CONNECTIONS_MAX, (index) =>
    // The names sort before all others of the benchmark, so that a page of them is a page of nothing else.
    side.client.pushManifest(`apps/service-${1000 + index}`, 'latest', EMPTY_INDEX.bytes, EMPTY_INDEX.type),
  )
  return `/v2/_catalog?n=${PAGE}`
}

const READS: readonly Read[] = [
  {
    name: 'manifest-get-tag',
    title: 'manifest GET by tag',
    method: 'GET',
    required: MANIFEST,
    prepare: (side) => manifestPath(side, 'tag'),
  },
  {
    name: 'manifest-get-digest',
    title: 'manifest GET by digest',
    method: 'GET',
    required: MANIFEST,
    prepare: (side) => manifestPath(side, 'digest'),
  },
  {
    name: 'manifest-head-tag',
    title: 'manifest HEAD by tag',
    method: 'HEAD',
    required: MANIFEST,
    prepare: (side) => manifestPath(side, 'tag'),
  },
  {
    name: 'manifest-head-digest',
    title: 'manifest HEAD by digest',
    method: 'HEAD',
    required: MANIFEST,
    prepare: (side) => manifestPath(side, 'digest'),
  },
  { name: 'blob-head', title: 'blob HEAD', method: 'HEAD', required: MANIFEST, prepare: smallBlobPath },
  {
    name: 'blob-get',
    title: 'blob GET of 4 KiB',
    method: 'GET',
    required: { cpuAtMost: 0.1, rateAtLeast: 5 },
    prepare: smallBlobPath,
  },
  {
    name: 'tags',
    title: 'tags/list?n=100 of 2,000 tags',
    method: 'GET',
    required: LISTING,
    prepare: tagPagePath,
  },
  {
    name: 'catalog',
    title: '_catalog?n=100 of 300 repositories',
    method: 'GET',
    required: LISTING,
    prepare: catalogPagePath,
  },
]

function scenarioOf(read: Read): Scenario {
  const paths = new WeakMap<Side, string>()
  const many = read.method === 'GET' ? getMany : headMany
  const urlOf = (side: Side) => `${side.server.url}${paths.get(side)}`
  return {
    name: read.name,
    title: read.title,
    required: read.required,
    cpuUnit: 'us',
    rateUnit: 'requests',
    prepare: async (side) => {
      paths.set(side, await read.prepare(side))
    },
    warmUp: async (side, effort) => {
      await many(urlOf(side), effort.warmUpSec)
    },
    load: (side, effort) => many(urlOf(side), effort.loadSec),
  }
}

/** Made anew for every run of the benchmark: each remembers what it put where. */
export function readScenarios(): readonly Scenario[] {
  return READS.map(scenarioOf)
}
