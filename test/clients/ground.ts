// Prepares one kind of server and the environment of the clients on it; nothing outside the folder of the run is read or written.
import { mkdir, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { toolsFolder } from '../tools/pinned.ts'
import type { Images } from './images.ts'
import { type Ground, loginFiles, type ServerKind } from './scenario.ts'
import { type Login, Server } from './server.ts'
import { LINE_BYTES_PER_SECOND, TOKEN_LIFE_MS } from './slow-push.ts'

const LOGIN: Login = { username: 'carrier', password: 'a load of crates 7' }
const SLOW = { tokenLifeMs: TOKEN_LIFE_MS, bytesPerSecond: LINE_BYTES_PER_SECOND }
const ADMIN: Login = { ...LOGIN, username: 'admin' }

/** Homes of daemons and tools that a plain user's PATH often leaves out. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export function baseEnvironment(home: string): Record<string, string> {
  const path = [join(toolsFolder(), 'bin'), dirname(process.execPath), SYSTEM_PATH].join(delimiter)
  return { PATH: path, HOME: home, LANG: 'C.UTF-8' }
}

export async function prepareGround(options: {
  readonly kind: ServerKind
  readonly serverCommand: readonly string[]
  readonly images: Images
  readonly dir: string
  /** What the repositories of scenarios begin with. */
  readonly projects: readonly string[]
  readonly storage?: Readonly<Record<string, unknown>> | undefined
}): Promise<Ground> {
  const { kind, images, dir } = options
  const secure = kind !== 'plain'
  const hasAccounts = kind === 'TLS + tokens' || kind === 'slow line'
  const serverDir = join(dir, 'server')
  const home = join(dir, 'home')
  await mkdir(serverDir, { recursive: true })
  await mkdir(home, { recursive: true })
  const server = await Server.start({
    command: options.serverCommand,
    dir: serverDir,
    storage: options.storage,
    env: baseEnvironment(home),
    ...(secure ? { login: hasAccounts ? ADMIN : LOGIN } : {}),
    ...(hasAccounts ? { projects: options.projects } : {}),
    ...(kind === 'slow line' ? { slow: SLOW } : {}),
  })
  try {
    const env = {
      ...baseEnvironment(home),
      ...loginFiles(home),
      ...(await containersFiles(home, server)),
      ...(server.caFile === undefined ? {} : { SSL_CERT_FILE: server.caFile }),
    }
    await writeLogins(home, server)
    return { kind, server, images, dir, env }
  } catch (error) {
    await server.stop()
    throw error
  }
}

/** The files of podman, buildah and skopeo: plain storage, no systemd, and plain HTTP only where the server is plain. */
async function containersFiles(home: string, server: Server): Promise<Record<string, string>> {
  const storage = join(home, 'storage.conf')
  const containers = join(home, 'containers.conf')
  const registries = join(home, '.config', 'containers', 'registries.conf')
  await mkdir(dirname(registries), { recursive: true })
  const runtime = join(home, 'runtime')
  await mkdir(runtime, { mode: 0o700 })
  await writeFile(
    storage,
    ['[storage]', 'driver = "vfs"', `graphroot = "${home}/images"`, `runroot = "${home}/run"`, ''].join('\n'),
  )
  await writeFile(
    containers,
    [
      '[containers]',
      'netns = "host"',
      'cgroups = "enabled"',
      'log_driver = "none"',
      '[engine]',
      'cgroup_manager = "cgroupfs"',
      'events_logger = "none"',
      'runtime = "runc"',
      `tmp_dir = "${home}/libpod"`,
      '',
    ].join('\n'),
  )
  await writeFile(
    registries,
    `unqualified-search-registries = []\n[[registry]]\nlocation = "${server.host}"\ninsecure = ${server.caFile === undefined}\n`,
  )
  return {
    CONTAINERS_STORAGE_CONF: storage,
    CONTAINERS_CONF: containers,
    XDG_RUNTIME_DIR: runtime,
    BUILDAH_ISOLATION: 'chroot',
  }
}

/** Logs everybody in beforehand, but for the scenarios that are about logging in. */
async function writeLogins(home: string, server: Server): Promise<void> {
  const { login } = server
  const token = login && Buffer.from(`${login.username}:${login.password}`).toString('base64')
  const auths = token === undefined ? {} : { [server.host]: { auth: token } }
  await writeFile(join(home, 'config.json'), JSON.stringify({ auths }), { mode: 0o600 })
  const host = { hostname: server.host, tls: login ? 'enabled' : 'disabled' }
  await writeFile(join(home, 'regctl.json'), JSON.stringify({ hosts: { [server.host]: host } }), {
    mode: 0o600,
  })
}
