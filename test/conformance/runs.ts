// The four runs that are required of us: with and without credentials, by default and with sparse manifests allowed.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setHtpasswdUser } from '#access/htpasswd-write.ts'
import { removeRegistry, startRegistry } from '../processes/registry-server.ts'
import type { SuiteResults } from './results.ts'
import { runSuite } from './suite.ts'

export interface Run {
  readonly title: string
  readonly htpasswd: boolean
  readonly sparse: boolean
}

export interface RunResults {
  readonly title: string
  readonly results: SuiteResults
  /** What the suite leaves out because this run does not ask for it. */
  readonly allowedDisabled: readonly string[]
}

export const RUNS: readonly Run[] = [
  { title: 'no authentication', htpasswd: false, sparse: false },
  { title: 'no authentication, sparse manifests allowed', htpasswd: false, sparse: true },
  { title: 'htpasswd', htpasswd: true, sparse: false },
  { title: 'htpasswd, sparse manifests allowed', htpasswd: true, sparse: true },
]

/** The suite asks for sparse manifests only when it is told to. */
export function allowedDisabledOf(sparse: boolean): readonly string[] {
  return sparse ? [] : ['Sparse Manifests']
}

const CREDENTIALS = { username: 'conformance', password: 'conformance-password' }
async function authSection(folder: string): Promise<Record<string, unknown>> {
  const path = join(folder, 'htpasswd')
  await setHtpasswdUser(path, CREDENTIALS.username, CREDENTIALS.password)
  return { auth: { htpasswd: { realm: 'stowage', path } } }
}

/** Starts a server of ours for this run alone, and runs the suite against it. */
export async function performRun(run: Run, spec: string, keep?: string): Promise<RunResults> {
  const folder = mkdtempSync(join(tmpdir(), 'conformance-config-'))
  if (keep) mkdirSync(keep, { recursive: true })
  try {
    const server = await startRegistry('stowage', {
      config: {
        ...(run.htpasswd ? await authSection(folder) : {}),
        ...(run.sparse ? { validation: { manifests: { sparse: true } } } : {}),
      },
    })
    try {
      const target = {
        host: server.host,
        tls: 'disabled',
        credentials: run.htpasswd ? CREDENTIALS : undefined,
      } as const
      const results = await runSuite(target, { spec, sparse: run.sparse, keep })
      return { title: run.title, results, allowedDisabled: allowedDisabledOf(run.sparse) }
    } finally {
      await removeRegistry(server)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
