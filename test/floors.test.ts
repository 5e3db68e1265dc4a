// The wall between the rooms: imports go down only. ARCHITECTURE.md shows FLOORS.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { test } from 'node:test'

const FLOORS: Record<string, number> = {
  lib: 0,
  oci: 1,

  learn: 1,
  telemetry: 1,
  identity: 2,
  blobs: 2,
  db: 3,
  layers: 2,
  client: 3,
  jobs: 4,
  events: 4,
  registry: 5,
  access: 6,
  maintenance: 7,
  mirror: 7,
  scan: 7,
  trust: 7,
  forecast: 7,
  assistant: 8,
  cluster: 8,
  http: 9,
  cli: 10,
  config: 11,
  app: 12,
  'serve.ts': 13,
  'main.ts': 14,
}

/** Libraries that only one room may know. */
const CONFINED: Record<string, string> = {
  fastify: 'http',
  kysely: 'db',
  pg: 'db',
  'node:sqlite': 'db',
  commander: 'cli',
  jose: 'access',
  '@aws-sdk/client-s3': 'blobs',
  '@aws-sdk/s3-request-presigner': 'blobs',
  croner: 'jobs',
  'openid-client': 'access',
  ldapts: 'access',
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^'"]*?from\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)|(?:^|\n)\s*import\s*['"]([^'"]+)['"]/g

function roomOf(path: string): string {
  return path.split('/')[0] ?? path
}

function importsOf(file: string): string[] {
  const text = readFileSync(join('src', file), 'utf8')
  return [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3] ?? '')
}

function targetOf(file: string, specifier: string): string | undefined {
  if (specifier.startsWith('#')) return specifier.slice(1)
  if (specifier.startsWith('.')) return normalize(join(dirname(file), specifier))
  return undefined
}

const isTest = (file: string) => /\.(test|suite)\.ts$/.test(file)
const files = globSync('src/**/*.ts').map((file) => relative('src', file))

test('every file stands in a room that has a floor', () => {
  const homeless = files.filter((file) => FLOORS[roomOf(file)] === undefined)
  assert.deepEqual(homeless, [])
})

test('the map names every room with its floor', () => {
  const rows = readFileSync('ARCHITECTURE.md', 'utf8').matchAll(/^\| (\d+) \| `([\w.-]+)\/?` \|/gm)
  const mapped = Object.fromEntries([...rows].map(([, floor, room = '']) => [room, Number(floor)]))
  const rooms = new Set(files.map(roomOf))
  assert.deepEqual(mapped, Object.fromEntries(Object.entries(FLOORS).filter(([room]) => rooms.has(room))))
})

test('imports go down only: never up, never sideways', () => {
  const wrong: string[] = []
  for (const file of files.filter((name) => !isTest(name))) {
    const room = roomOf(file)
    for (const specifier of importsOf(file)) {
      const target = targetOf(file, specifier)
      if (target === undefined || target.startsWith('..')) continue
      const targetRoom = roomOf(target)
      if (targetRoom === room) continue
      if ((FLOORS[targetRoom] ?? 99) >= (FLOORS[room] ?? -1)) wrong.push(`${file} imports ${target}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('a library that belongs to one room is imported there alone', () => {
  const wrong: string[] = []
  for (const file of files) {
    for (const specifier of importsOf(file)) {
      for (const [library, room] of Object.entries(CONFINED)) {
        const matches = specifier === library || specifier.startsWith(`${library}/`)
        if (matches && roomOf(file) !== room) wrong.push(`${file} imports ${specifier}`)
      }
    }
  }
  assert.deepEqual(wrong, [])
})

test('the environment is read in config/environment.ts alone, and argv in main.ts alone', () => {
  const wrong: string[] = []
  for (const file of files.filter((name) => !isTest(name))) {
    const text = readFileSync(join('src', file), 'utf8')
    if (/\bprocess\.env\b/.test(text) && file !== 'config/environment.ts')
      wrong.push(`${file} reads process.env`)
    if (/\bprocess\.argv\b/.test(text) && file !== 'main.ts') wrong.push(`${file} reads process.argv`)
  }
  assert.deepEqual(wrong, [])
})

test('no file is a drawer', () => {
  const drawers = /(^|\/)(index|types|utils?|common|helpers?|core|shared|misc)\.ts$/
  assert.deepEqual(
    files.filter((file) => drawers.test(file)),
    [],
  )
})
