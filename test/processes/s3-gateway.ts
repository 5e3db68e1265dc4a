// A real S3 server for tests: versitygw over a folder for temporary files, on a free port.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { S3Options } from '#blobs/s3/s3-options.ts'
import { isExecutable, requireTool } from '../tools/find-program.ts'
import { toolPath } from '../tools/pinned.ts'
import { freePort } from './free-port.ts'
import { RunningProcess } from './running.ts'

export const ACCESS_KEY = 'stowage-test'
export const SECRET_KEY = 'a-secret-for-tests'
const REGION = 'us-east-1'

/** Why tests that need the gateway are skipped; undefined when they are to run, as always in CI. */
export function gatewayIsMissing(): string | undefined {
  if (isExecutable(toolPath('versitygw')) || process.env['CI'] === 'true') return undefined
  return 'versitygw is not installed: run node test/tools/install.ts go'
}

export class S3Gateway {
  readonly folder: string
  readonly port: number
  #process: RunningProcess
  #buckets = 0

  private constructor(folder: string, port: number, process: RunningProcess) {
    this.folder = folder
    this.port = port
    this.#process = process
  }

  static async start(parent = tmpdir()): Promise<S3Gateway> {
    const folder = mkdtempSync(join(parent, 's3-gateway-'))
    const port = await freePort()
    try {
      return new S3Gateway(folder, port, await launch(folder, port))
    } catch (error) {
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get process(): RunningProcess {
    return this.#process
  }

  /** Makes an empty bucket. */
  newBucket(): string {
    this.#buckets += 1
    const name = `bucket-${this.#buckets}`
    mkdirSync(join(this.folder, name))
    return name
  }

  /** Options for a bucket, a new one when none is named. */
  options(changes: Partial<S3Options> = {}): S3Options {
    return {
      bucket: changes.bucket ?? this.newBucket(),
      region: REGION,
      endpoint: this.endpoint,
      redirectEndpoint: undefined,
      pathStyle: true,
      root: '',
      credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
      encryption: undefined,
      storageClass: undefined,
      acl: undefined,
      userAgent: undefined,
      dualStack: false,
      accelerate: false,
      fips: false,
      verifyTls: true,
      partBytes: 5 * 1024 * 1024,
      copiesAtOnce: 8,
      ...changes,
    }
  }

  /** `storage.s3` of a configuration, for Stowage and for distribution. */
  storageConfig(bucket: string): Readonly<Record<string, unknown>> {
    return {
      accesskey: ACCESS_KEY,
      secretkey: SECRET_KEY,
      region: REGION,
      regionendpoint: this.endpoint,
      forcepathstyle: true,
      secure: false,
      bucket,
    }
  }

  /** Ends the server; its folder and port stay. */
  async pause(): Promise<void> {
    await this.#process.stop()
  }

  /** Starts it again. */
  async resume(): Promise<void> {
    this.#process = await launch(this.folder, this.port)
  }

  async stop(): Promise<void> {
    await this.#process.stop()
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function launch(folder: string, port: number): Promise<RunningProcess> {
  const args = ['--port', `127.0.0.1:${port}`, '--quiet', '--keep-alive', 'posix', folder]
  const env = { ROOT_ACCESS_KEY: ACCESS_KEY, ROOT_SECRET_KEY: SECRET_KEY }
  const server = await RunningProcess.start('versitygw', requireTool('versitygw'), args, { env })
  try {
    await server.untilAnswers(`http://127.0.0.1:${port}/`, undefined, [403])
    return server
  } catch (error) {
    await server.kill()
    throw error
  }
}
