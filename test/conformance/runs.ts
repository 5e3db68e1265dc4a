// The runs that are required of us: with and without credentials and tokens, by default and with sparse manifests allowed.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setHtpasswdUser } from '#access/passwords/htpasswd-write.ts'
import { newSecret } from '#access/secrets.ts'
import { insertRobot } from '#db/robots.ts'
import { openSqlite } from '#db/sqlite.ts'
import { removeRegistry, startRegistry } from '../processes/registry-server.ts'
import { S3Gateway } from '../processes/s3-gateway.ts'
import type { SuiteResults } from './results.ts'
import { runSuite } from './suite.ts'

export interface Run {
  readonly title: string
  /** How the suite comes in. */
  readonly as: 'anybody' | 'a user' | 'a robot'
  readonly sparse: boolean
  /** The blobs lie in a bucket, and every byte is served from here. */
  readonly onS3?: true
}

export interface RunResults {
  readonly title: string
  readonly results: SuiteResults
  /** What the suite leaves out because this run does not ask for it. */
  readonly allowedDisabled: readonly string[]
}

export const RUNS: readonly Run[] = [
  { title: 'no authentication', as: 'anybody', sparse: false },
  { title: 'no authentication, sparse manifests allowed', as: 'anybody', sparse: true },
  { title: 'htpasswd', as: 'a user', sparse: false },
  { title: 'htpasswd, sparse manifests allowed', as: 'a user', sparse: true },
  { title: 'a robot with tokens', as: 'a robot', sparse: false },
  { title: 'a robot with tokens, sparse manifests allowed', as: 'a robot', sparse: true },
  { title: 'blobs in S3', as: 'anybody', sparse: false, onS3: true },
  { title: 'blobs in S3, sparse manifests allowed', as: 'anybody', sparse: true, onS3: true },
]

/** The suite asks for sparse manifests only when it is told to. */
export function allowedDisabledOf(sparse: boolean): readonly string[] {
  return sparse ? [] : ['Sparse Manifests']
}

interface Entrance {
  readonly config: Readonly<Record<string, unknown>>
  readonly credentials?: { readonly username: string; readonly password: string }
}

async function entranceOf({ as }: Run, folder: string): Promise<Entrance> {
  if (as === 'anybody') return { config: {} }
  if (as === 'a robot') return robotEntrance(folder)
  const credentials = { username: 'conformance', password: 'conformance-password' }
  const path = join(folder, 'htpasswd')
  await setHtpasswdUser(path, credentials.username, credentials.password)
  return { config: { auth: { htpasswd: { realm: 'stowage', path } } }, credentials }
}

/** A robot that may pull, push and delete everywhere, put into the database before the server starts. */
async function robotEntrance(folder: string): Promise<Entrance> {
  const path = join(folder, 'registry.sqlite')
  const { text, hash } = newSecret('robot')
  const robot = {
    name: '+conformance',
    projectId: null,
    secretHash: hash,
    permissions: JSON.stringify([{ repository: '**', rights: ['pull', 'push', 'overwrite', 'delete'] }]),
    expiresAt: null,
    now: Date.now(),
  }
  const db = await openSqlite({ path })
  await db.transaction((tx) => insertRobot(tx, robot))
  await db.close()
  return {
    config: { auth: { stowage: {} }, database: { path } },
    credentials: { username: robot.name, password: text },
  }
}

/** Starts a server of ours for this run alone, and runs the suite against it. */
export async function performRun(run: Run, spec: string, keep?: string): Promise<RunResults> {
  const folder = mkdtempSync(join(tmpdir(), 'conformance-config-'))
  if (keep) mkdirSync(keep, { recursive: true })
  const gateway = run.onS3 ? await S3Gateway.start() : undefined
  try {
    const { config, credentials } = await entranceOf(run, folder)
    const server = await startRegistry('stowage', {
      config: {
        ...config,
        ...(gateway && inBucket(gateway, folder)),
        ...(run.sparse ? { validation: { manifests: { sparse: true } } } : {}),
      },
    })
    try {
      const target = { host: server.host, tls: 'disabled', credentials } as const
      const results = await runSuite(target, { spec, sparse: run.sparse, keep })
      return { title: run.title, results, allowedDisabled: allowedDisabledOf(run.sparse) }
    } finally {
      await removeRegistry(server)
    }
  } finally {
    await gateway?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

function inBucket(gateway: S3Gateway, folder: string) {
  const s3 = gateway.storageConfig(gateway.newBucket())
  return {
    storage: { s3, delete: { enabled: true }, redirect: { disable: true } },
    database: { path: join(folder, 'registry.sqlite') },
  }
}
