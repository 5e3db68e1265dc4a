// A registry as a process of its own: ours, or distribution's, from the same kind of configuration file.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { requireTool } from '../tools/find-program.ts'
import { freePort } from './free-port.ts'
import { RunningProcess } from './running.ts'

const STOWAGE = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'bin', 'stowage.js')

export type RegistryKind = 'stowage' | 'distribution'

export interface ServerOptions {
  /** Top-level sections that take the place of those of the base configuration. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Keys that are added below `storage`. */
  readonly storage?: Readonly<Record<string, unknown>>
  /** Keys that are added below `http`. */
  readonly http?: Readonly<Record<string, unknown>>
  /** The parent of the server's folder; the system's folder for temporary files when absent. */
  readonly parent?: string
  /** Added to the environment of the first start. */
  readonly env?: Readonly<Record<string, string>>
  /** A command that runs the server as its child or in its place, such as a tracer with its options. */
  readonly under?: readonly string[]
}

export interface RegistryServer {
  readonly kind: RegistryKind
  /** `127.0.0.1:<port>` */
  readonly host: string
  readonly url: string
  /** Holds `config.yml` and `data/`. */
  readonly folder: string
  readonly process: RunningProcess
  /** Where the tree of registry:2 begins, when that is not `data/`. */
  readonly store?: string
  /** From the start of the process to its first answer. */
  readonly startMs: number
}

function baseConfig(folder: string, host: string, { storage, http }: ServerOptions) {
  return {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: join(folder, 'data') },
      delete: { enabled: true },
      ...storage,
    },
    http: { addr: host, ...http },
  }
}

function commandOf(kind: RegistryKind, configFile: string): [string, string[]] {
  return kind === 'stowage'
    ? [process.execPath, [STOWAGE, 'serve', configFile]]
    : [requireTool('registry'), ['serve', configFile]]
}

type LaunchOptions = Pick<ServerOptions, 'under' | 'env'>

function launch(
  kind: RegistryKind,
  folder: string,
  { under = [], env = {} }: LaunchOptions = {},
): Promise<RunningProcess> {
  const [program, programArgs] = commandOf(kind, join(folder, 'config.yml'))
  const [command = program, ...args] = [...under, program, ...programArgs]
  // distribution's image sets this as well: without it every request is traced to a collector that is not there.
  return RunningProcess.start(kind, command, args, {
    env: { OTEL_TRACES_EXPORTER: 'none', ...env },
  })
}

async function answering(
  kind: RegistryKind,
  folder: string,
  host: string,
  { timeoutMs, ...options }: LaunchOptions & { readonly timeoutMs?: number | undefined } = {},
) {
  const child = await launch(kind, folder, options)
  const url = `http://${host}`
  try {
    const startMs = await child.untilAnswers(`${url}/v2/`, timeoutMs)
    return { kind, host, url, folder, process: child, startMs }
  } catch (error) {
    await child.kill()
    throw error
  }
}

/** Starts a registry on a free port with an empty folder of its own, and waits until it answers. */
export async function startRegistry(
  kind: RegistryKind,
  options: ServerOptions = {},
): Promise<RegistryServer> {
  const folder = mkdtempSync(join(options.parent ?? tmpdir(), `${kind}-`))
  mkdirSync(join(folder, 'data'))
  const host = `127.0.0.1:${await freePort()}`
  const config = { ...baseConfig(folder, host, options), ...options.config }
  writeFileSync(join(folder, 'config.yml'), stringify(config))
  try {
    return await answering(kind, folder, host, options)
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/** Starts the registry's program again, and does not wait until it answers. */
export function launchRegistry({ kind, folder }: RegistryServer): Promise<RunningProcess> {
  return launch(kind, folder)
}

/** Starts a registry again on the folder and port that it had. */
export function restartRegistry(server: RegistryServer, timeoutMs?: number): Promise<RegistryServer> {
  return answering(server.kind, server.folder, server.host, { timeoutMs })
}

/** Ends the registry and removes its folder. */
export async function removeRegistry(server: RegistryServer): Promise<void> {
  await server.process.stop()
  rmSync(server.folder, { recursive: true, force: true, maxRetries: 3 })
}
