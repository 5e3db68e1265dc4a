// What a client and its scenarios are, and what a scenario is given to stand on.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Accounts } from './accounts.ts'
import { CommandError, type CommandOptions, commandLine, type Outcome, runCommand } from './command.ts'
import type { Images } from './images.ts'
import type { RegistryView } from './registry-view.ts'
import type { Login, Server } from './server.ts'

/** The kinds of server that a scenario runs on where it does not say: one table column each. */
export const SERVERS = ['plain', 'TLS + htpasswd', 'TLS + tokens'] as const
/** The last one is one with tokens too, behind a slow line: its clients run side by side, since they wait all the time. */
export const ALL_SERVERS = [...SERVERS, 'slow line'] as const
export type ServerKind = (typeof ALL_SERVERS)[number]
/** Those that want a login. */
export const WITH_LOGIN: readonly ServerKind[] = ['TLS + htpasswd', 'TLS + tokens']

export interface Client {
  readonly name: string
  /** The programs that must be there. */
  readonly programs: readonly string[]
  /** Those of them that the table names with their versions. */
  readonly shown: readonly string[]
  /** What the table shows instead, for a program that is not in the PATH. */
  readonly version?: string
  readonly needsRoot?: true
  /** Starts what the client needs beside the registry (a daemon); its environment is added to the client's. */
  readonly prepare?: (ground: Ground) => Promise<Prepared>
  readonly scenarios: readonly Scenario[]
}

export interface Scenario {
  /** Short and stable: `--only client/name`. */
  readonly name: string
  /** A sentence about what works. */
  readonly does: string
  /** Only with `--all`. */
  readonly long?: true
  /** Where the scenario makes sense on some kinds of server only. */
  readonly servers?: readonly ServerKind[]
  readonly run: (stand: Stand) => Promise<void>
}

export interface Prepared {
  readonly env: Readonly<Record<string, string>>
  readonly stop: () => Promise<void>
}

/** What all scenarios on one server share. */
export interface Ground {
  readonly kind: ServerKind
  readonly server: Server
  readonly images: Images
  /** A folder for the state of clients. */
  readonly dir: string
  readonly env: Readonly<Record<string, string>>
}

/** What one scenario stands on: a server, a repository of its own, an empty folder, and the programs. */
export class Stand {
  readonly host: string
  readonly repository: string
  readonly dir: string
  readonly images: Images
  readonly registry: RegistryView
  readonly env: Readonly<Record<string, string>>
  readonly #server: Server

  constructor(ground: Ground, repository: string, dir: string, env: Readonly<Record<string, string>>) {
    this.host = ground.server.host
    this.repository = repository
    this.dir = dir
    this.images = ground.images
    this.registry = ground.server.view
    this.env = env
    this.#server = ground.server
  }

  /** True on servers with TLS, which want a login. */
  get secure(): boolean {
    return this.#server.caFile !== undefined
  }

  /** The certificate authority of the secure server. */
  get caFile(): string {
    if (this.#server.caFile === undefined) throw new Error('the plain server has no certificate')
    return this.#server.caFile
  }

  /** Who may do everything on the secure server: the one user of htpasswd, or a robot. */
  get login(): Login {
    if (this.#server.login === undefined) throw new Error('the plain server knows no users')
    return this.#server.login
  }

  /** Who may push to one project, by the kind of account. */
  get accounts(): Accounts {
    if (this.#server.accounts === undefined) throw new Error('only the server with tokens has accounts')
    return this.#server.accounts
  }

  /** `localhost:5000/client/scenario:tag`. */
  ref(tag = 'v1', repository = this.repository): string {
    return `${this.host}/${repository}:${tag}`
  }

  at(digest: string, repository = this.repository): string {
    return `${this.host}/${repository}@${digest}`
  }

  /** The digest that the registry has behind a tag of the scenario's repository. */
  digest(tag = 'v1', repository = this.repository): Promise<string> {
    return this.registry.digest(repository, tag)
  }

  path(...names: string[]): string {
    return join(this.dir, ...names)
  }

  /** Runs a program that must end with 0. @returns its standard output */
  async ok(program: string, args: readonly string[], options: StandOptions = {}): Promise<string> {
    const outcome = await this.#run(program, args, options)
    if (outcome.code !== 0) throw new CommandError(commandLine(program, args), outcome, '0')
    return outcome.stdout
  }

  /** Runs a program that must not end with 0. @returns all that it printed */
  async refused(program: string, args: readonly string[], options: StandOptions = {}): Promise<string> {
    const outcome = await this.#run(program, args, options)
    if (outcome.code === 0) throw new CommandError(commandLine(program, args), outcome, 'a failure')
    return `${outcome.stdout}\n${outcome.stderr}`
  }

  /** Runs a program that must end with 0. @returns all that it printed, for those that report on standard error */
  async told(program: string, args: readonly string[], options: StandOptions = {}): Promise<string> {
    const outcome = await this.#run(program, args, options)
    if (outcome.code !== 0) throw new CommandError(commandLine(program, args), outcome, '0')
    return `${outcome.stdout}\n${outcome.stderr}`
  }

  /** All that the server logged. */
  serverLog(): Promise<string> {
    return this.#server.log(0)
  }

  restartServer(): Promise<void> {
    return this.#server.restart()
  }

  /** The environment of somebody who has never logged in anywhere. */
  async stranger(name: string): Promise<Record<string, string>> {
    const home = this.path(name)
    await mkdir(home)
    await writeFile(join(home, 'config.json'), '{"auths":{}}')
    await writeFile(join(home, 'regctl.json'), '{}')
    return loginFiles(home)
  }

  #run(program: string, args: readonly string[], options: StandOptions): Promise<Outcome> {
    const whole: CommandOptions = {
      cwd: options.cwd ?? this.dir,
      env: { ...this.env, ...options.env },
      ...(options.input === undefined ? {} : { input: options.input }),
    }
    return runCommand(program, args, whole)
  }
}

export interface StandOptions {
  readonly cwd?: string
  /** Added to the scenario's environment. */
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
}

/** Where each client keeps its credentials, all below `home`. */
export function loginFiles(home: string): Record<string, string> {
  return {
    DOCKER_CONFIG: home,
    REGISTRY_AUTH_FILE: join(home, 'config.json'),
    HELM_REGISTRY_CONFIG: join(home, 'config.json'),
    REGCTL_CONFIG: join(home, 'regctl.json'),
  }
}
