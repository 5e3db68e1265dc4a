// Runs the official suite once against a registry that already answers.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requireTool } from '../tools/find-program.ts'
import { readResults, type SuiteResults } from './results.ts'

const SUITE_TIMEOUT_MS = 5 * 60_000
const OUTPUT_CHARS_MAX = 4_096

export interface SuiteTarget {
  /** `host:port` */
  readonly host: string
  readonly tls: 'enabled' | 'insecure' | 'disabled'
  readonly credentials?: { readonly username: string; readonly password: string } | undefined
}

export interface SuiteOptions {
  /** The version of the specification: `dev` is its main branch. */
  readonly spec: string
  readonly sparse: boolean
  /** Keeps the suite's own report (report.html, junit.xml, results.yaml) here; it is thrown away when absent. */
  readonly keep?: string | undefined
}

function suiteEnvironment(target: SuiteTarget, options: SuiteOptions, folder: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('OCI_'))
  return {
    ...Object.fromEntries(kept),
    OCI_REGISTRY: target.host,
    OCI_TLS: target.tls,
    OCI_VERSION: options.spec,
    OCI_RESULTS_DIR: folder,
    ...(options.sparse ? { OCI_DATA_SPARSE: 'true' } : {}),
    ...(target.credentials
      ? { OCI_USERNAME: target.credentials.username, OCI_PASSWORD: target.credentials.password }
      : {}),
  }
}

/** @throws Error when the suite ends without a report */
export async function runSuite(target: SuiteTarget, options: SuiteOptions): Promise<SuiteResults> {
  const folder = options.keep ?? mkdtempSync(join(tmpdir(), 'conformance-'))
  try {
    const child = spawn(requireTool('conformance'), [], {
      cwd: tmpdir(),
      env: suiteEnvironment(target, options, folder),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: SUITE_TIMEOUT_MS,
    })
    let tail = ''
    const keepTail = (chunk: Buffer) => {
      tail = (tail + chunk.toString('utf8')).slice(-OUTPUT_CHARS_MAX)
    }
    child.stdout.on('data', keepTail)
    child.stderr.on('data', keepTail)
    // Its exit code only repeats what the report says.
    await once(child, 'close')
    if (!existsSync(join(folder, 'junit.xml'))) throw new Error(`the suite wrote no report:\n${tail}`)
    return readResults(
      readFileSync(join(folder, 'junit.xml'), 'utf8'),
      readFileSync(join(folder, 'results.yaml'), 'utf8'),
    )
  } finally {
    if (options.keep === undefined) rmSync(folder, { recursive: true, force: true })
  }
}
