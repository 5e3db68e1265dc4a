// One folder and one configuration file that Stowage and Debian's docker-registry take turns with.
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from '../processes/free-port.ts'
import { RunningProcess } from '../processes/running.ts'
import { findProgram } from '../tools/find-program.ts'

const run = promisify(execFile)
const STOWAGE = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'bin', 'stowage.js')
const PASS_MS_MAX = 20_000

export const dockerRegistry = findProgram('docker-registry')

/** Why the tests cannot run here; never in CI, where the program has to be there. */
export const skipReason: string | false =
  dockerRegistry || process.env['CI']
    ? false
    : 'docker-registry is not installed: apt-get install docker-registry'

export class SharedFolder {
  readonly folder: string
  readonly port: number
  #running: RunningProcess | undefined

  private constructor(folder: string, port: number) {
    this.folder = folder
    this.port = port
  }

  /** A new one, below the system's folder for temporary files or another. */
  static async make(parent = tmpdir()): Promise<SharedFolder> {
    const folder = await mkdtemp(join(parent, 'interchange-'))
    const shared = new SharedFolder(folder, await freePort())
    // As somebody wrote it for registry:2 years ago.
    await writeFile(
      shared.configFile,
      [
        'version: 0.1',
        'log:',
        '  level: info',
        '  accesslog:',
        '    disabled: true',
        'storage:',
        '  cache:',
        '    blobdescriptor: inmemory',
        '  filesystem:',
        `    rootdirectory: ${shared.root}`,
        '  delete:',
        '    enabled: true',
        'http:',
        `  addr: 127.0.0.1:${shared.port}`,
        '  headers:',
        '    X-Content-Type-Options: [nosniff]',
        '',
      ].join('\n'),
    )
    return shared
  }

  get configFile(): string {
    return join(this.folder, 'config.yml')
  }

  get root(): string {
    return join(this.folder, 'data')
  }

  /** A path below registry:2's own folder. */
  tree(...parts: string[]): string {
    return join(this.root, 'docker/registry/v2', ...parts)
  }

  /** Resolves when Stowage answers; what it says is in `output`. */
  async stowage(): Promise<RunningProcess> {
    return this.#start('stowage', process.execPath, [STOWAGE, 'serve', this.configFile])
  }

  async distribution(): Promise<RunningProcess> {
    return this.#start('docker-registry', dockerRegistry ?? 'docker-registry', ['serve', this.configFile])
  }

  async #start(name: string, command: string, args: readonly string[]): Promise<RunningProcess> {
    if (this.#running && !this.#running.hasEnded) throw new Error(`${this.#running.name} has the folder`)
    const running = await RunningProcess.start(name, command, args)
    this.#running = running
    await running.untilAnswers(`http://127.0.0.1:${this.port}/v2/`)
    return running
  }

  /** Resolves when Stowage has compared the whole tree with its facts. */
  async passed(): Promise<void> {
    for (let waited = 0; waited < PASS_MS_MAX; waited += 20) {
      if (this.#running?.output.includes('the tree is read')) return
      await wait(20)
    }
    throw new Error(`the pass did not end:\n${this.#running?.output}`)
  }

  /** Resolves when the link file of a tag is there, which Stowage writes a moment after its push. */
  async mirrored(repository: string, tag: string): Promise<void> {
    const link = this.tree('repositories', repository, '_manifests/tags', tag, 'current/link')
    for (let waited = 0; waited < PASS_MS_MAX; waited += 10) {
      // With its text: a kill in the midst of the write leaves an empty file, which registry:2 takes for a fault.
      if ((await readFile(link, 'utf8').catch(() => '')) !== '') return
      await wait(10)
    }
    throw new Error(`${link} was not written:\n${this.#running?.output}`)
  }

  async stop(): Promise<void> {
    if (!(await this.#running?.stop())) throw new Error(`had to be killed:\n${this.#running?.output}`)
  }

  async kill(): Promise<void> {
    await this.#running?.kill()
  }

  /** What an operator runs at night with registry:2 stopped. */
  async collectGarbage(): Promise<string> {
    const { stdout } = await run(dockerRegistry ?? 'docker-registry', [
      'garbage-collect',
      '--delete-untagged',
      this.configFile,
    ])
    return stdout
  }

  /** Every link file with its text. */
  async links(): Promise<Record<string, string>> {
    const folder = this.tree('repositories')
    const links: Record<string, string> = {}
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name)
      if (entry.name === 'link') links[relative(folder, path)] = await readFile(path, 'utf8')
    }
    return links
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running?.stop()
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 })
  }
}
