// Credentials as docker and podman keep them: config.json, auth.json, and the helpers that these files name.
// Sources: docker-login(1), containers-auth.json(5).
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ClientError } from '#client/client-error.ts'
import {
  eraseFromHelper,
  getFromHelper,
  type HelperOptions,
  storeInHelper,
} from '#client/credential-helper.ts'
import type { Credentials } from '#client/credentials.ts'
import { isObject } from '#oci/parse-descriptor.ts'

type Environment = Readonly<Record<string, string | undefined>>

export interface CredentialFiles {
  /** In the order they are asked. */
  readonly read: readonly string[]
  /** Where a login is kept. */
  readonly write: string
}

export interface CredentialStoreOptions {
  readonly files: CredentialFiles
  /** For the helpers. */
  readonly environment: Environment
  readonly helperTimeoutMs?: number | undefined
}

const FILE_BYTES_MAX = 4 * 1024 * 1024
/** The key of Docker Hub in every credentials file, since before there was a v2. */
const HUB_KEY = 'https://index.docker.io/v1/'
const HUB_HOSTS: ReadonlySet<string> = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io'])

/** Where the files are, by the variables that docker and podman obey. A file that is named by hand is the only one. */
export function credentialFiles(environment: Environment, home: string): CredentialFiles {
  const named = environment['REGISTRY_AUTH_FILE']
  if (named) return { read: [named], write: named }
  const docker = join(environment['DOCKER_CONFIG'] || join(home, '.docker'), 'config.json')
  if (environment['DOCKER_CONFIG']) return { read: [docker], write: docker }
  const runtime = environment['XDG_RUNTIME_DIR']
  const config = environment['XDG_CONFIG_HOME'] || join(home, '.config')
  const podman = [
    ...(runtime ? [join(runtime, 'containers', 'auth.json')] : []),
    join(config, 'containers', 'auth.json'),
  ]
  return { read: [docker, ...podman], write: docker }
}

export class CredentialStore {
  readonly #options: CredentialStoreOptions

  constructor(options: CredentialStoreOptions) {
    this.#options = options
  }

  /**
   * What to use for a repository of a registry. podman's files may have an entry for a part of a registry.
   * @throws ClientError invalid when a file or a helper cannot be read
   */
  async find(host: string, repository = ''): Promise<Credentials | undefined> {
    for (const path of this.#options.files.read) {
      const file = await readCredentialFile(path)
      const found = file && ((await this.#askHelper(file, host)) ?? findInFile(file, host, repository, path))
      if (found) return found
    }
    return undefined
  }

  /** Keeps a login, in the helper that the file names for this registry or in the file itself. */
  async save(host: string, credentials: Credentials): Promise<void> {
    const path = this.#options.files.write
    const file = (await readCredentialFile(path)) ?? {}
    const helper = this.#helperFor(file, host)
    const auths = { ...objectOf(file['auths']) }
    for (const key of keysOf(auths, host)) delete auths[key]
    if (helper) {
      await storeInHelper(helper, serverOf(host), credentials)
      // docker leaves an empty entry to show that there is one elsewhere.
      auths[serverOf(host)] = {}
    } else auths[serverOf(host)] = entryOf(credentials)
    await writeCredentialFile(path, { ...file, auths })
  }

  /** Forgets a login. True when there was one. */
  async erase(host: string): Promise<boolean> {
    let found = false
    for (const path of this.#options.files.read) {
      const file = await readCredentialFile(path)
      if (!file) continue
      const helper = this.#helperFor(file, host)
      if (helper && (await getFromHelper(helper, serverOf(host)))) {
        await eraseFromHelper(helper, serverOf(host))
        found = true
      }
      const auths = { ...objectOf(file['auths']) }
      const keys = keysOf(auths, host)
      if (keys.length === 0) continue
      for (const key of keys) delete auths[key]
      await writeCredentialFile(path, { ...file, auths })
      found = true
    }
    return found
  }

  async #askHelper(file: Record<string, unknown>, host: string): Promise<Credentials | undefined> {
    const helper = this.#helperFor(file, host)
    return helper && (await getFromHelper(helper, serverOf(host)))
  }

  #helperFor(file: Record<string, unknown>, host: string): HelperOptions | undefined {
    const helpers = objectOf(file['credHelpers'])
    const name = helpers[host] ?? helpers[serverOf(host)] ?? file['credsStore']
    if (typeof name !== 'string' || name === '') return undefined
    return { name, environment: this.#options.environment, timeoutMs: this.#options.helperTimeoutMs }
  }
}

/** Docker Hub has one name in these files, whatever it is called elsewhere. */
function serverOf(host: string): string {
  return HUB_HOSTS.has(host) ? HUB_KEY : host
}

/** The keys of a file that mean this host: docker has written them with a scheme and with a path. */
function keysOf(auths: Record<string, unknown>, host: string): string[] {
  return Object.keys(auths).filter((key) => {
    const bare = key.replace(/^https?:\/\//, '').replace(/\/(?:v[12]\/?)?$/, '')
    return bare === host || (HUB_HOSTS.has(host) && HUB_HOSTS.has(bare))
  })
}

function findInFile(
  file: Record<string, unknown>,
  host: string,
  repository: string,
  path: string,
): Credentials | undefined {
  const auths = objectOf(file['auths'])
  // `host/team/app` before `host/team` before `host`.
  const parts = repository === '' ? [] : repository.split('/')
  for (let length = parts.length; length > 0; length--) {
    const found = readEntry(auths[`${host}/${parts.slice(0, length).join('/')}`], path)
    if (found) return found
  }
  for (const key of keysOf(auths, host)) {
    const found = readEntry(auths[key], path)
    if (found) return found
  }
  return undefined
}

function readEntry(entry: unknown, path: string): Credentials | undefined {
  const { identitytoken, registrytoken, auth, username, password } = objectOf(entry)
  if (typeof identitytoken === 'string' && identitytoken !== '') {
    return { kind: 'identity-token', token: identitytoken }
  }
  if (typeof registrytoken === 'string' && registrytoken !== '') {
    return { kind: 'registry-token', token: registrytoken }
  }
  if (typeof auth === 'string' && auth !== '') {
    const text = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '')
    const colon = text.indexOf(':')
    if (colon < 1) throw new ClientError('invalid', `${path} has an auth that is no user:password in base64`)
    return { kind: 'password', username: text.slice(0, colon), password: text.slice(colon + 1) }
  }
  if (typeof username === 'string' && typeof password === 'string' && username !== '') {
    return { kind: 'password', username, password }
  }
  return undefined
}

function entryOf(credentials: Credentials): Record<string, string> {
  if (credentials.kind === 'identity-token') return { identitytoken: credentials.token }
  if (credentials.kind === 'registry-token') return { registrytoken: credentials.token }
  return { auth: Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64') }
}

function objectOf(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {}
}

async function readCredentialFile(path: string): Promise<Record<string, unknown> | undefined> {
  let text: string
  try {
    if ((await stat(path)).size > FILE_BYTES_MAX) throw new ClientError('limit', `${path} is too large`)
    text = await readFile(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
  if (text.trim() === '') return {}
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value)) return value
  } catch {
    // Not repeated below: the message of JSON.parse quotes the text.
  }
  throw new ClientError('invalid', `the credentials file ${path} is not a JSON object`)
}

/** Readable by its owner alone, and there as a whole or not at all. A link is followed, so that it stays one. */
async function writeCredentialFile(path: string, value: Record<string, unknown>): Promise<void> {
  const target = await realpath(path).catch(() => path)
  await mkdir(dirname(target), { recursive: true, mode: 0o700 })
  const temporary = `${target}.${randomBytes(6).toString('hex')}`
  try {
    await writeFile(temporary, `${JSON.stringify(value, undefined, '\t')}\n`, { mode: 0o600, flag: 'wx' })
    // The mode of writeFile is subject to the umask alone, but this says it for every system.
    await chmod(temporary, 0o600)
    await rename(temporary, target)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}
