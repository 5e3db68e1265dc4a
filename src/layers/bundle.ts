// An OCI runtime bundle: a root file system and the config.json that runc and crun start it with.
// Sources: image-spec conversion.md; the defaults are those of `runc spec` (and `runc spec --rootless`).
import { constants } from 'node:fs'
import { mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ImageConfig, parseImageConfig } from '#layers/image-config.ts'
import { findUser } from '#layers/image-user.ts'
import { LayerError } from '#layers/layer-error.ts'
import { fillNewFolder } from '#layers/new-folder.ts'
import { diskPath } from '#layers/path-text.ts'
import type { ImageTree } from '#layers/tree.ts'
import { type UnpackOptions, type UnpackReport, unpackInto } from '#layers/unpack.ts'

const ACCOUNT_FILE_BYTES_MAX = 4 * 1024 * 1024
const CAPABILITIES = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE']
const DEFAULT_ENV = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm']
const ANNOTATION = 'org.opencontainers.image.'

export interface BundleOptions extends UnpackOptions {
  /** The image config, parsed from JSON and no further. */
  readonly config: unknown
}

/**
 * Makes the folder `into` with `rootfs/` and `config.json`, in mode 0700: what is setuid in it is for the container only.
 * @throws LayerError as unpackImage, and CONFIG_INVALID, USER_UNKNOWN
 */
export async function unpackBundle(options: BundleOptions): Promise<UnpackReport> {
  const config = parseImageConfig(options.config)
  return fillNewFolder(options.into, async (folder) => {
    const rootfs = join(folder, 'rootfs')
    await mkdir(rootfs, 0o700)
    const { report, tree } = await unpackInto(rootfs, options)
    const spec = runtimeSpec({
      config,
      passwd: await accountFile(rootfs, tree, 'passwd'),
      group: await accountFile(rootfs, tree, 'group'),
      ...(options.asRoot === false || process.getuid?.() !== 0
        ? { rootless: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 } }
        : {}),
    })
    await writeFile(join(folder, 'config.json'), `${JSON.stringify(spec, undefined, 2)}\n`)
    return report
  })
}

/** Reads etc/passwd or etc/group: where the image's own symlinks lead, never where the host's would. */
async function accountFile(rootfs: string, tree: ImageTree, name: 'passwd' | 'group'): Promise<string> {
  const found = tree.fileAt(['etc', name])
  if (found?.inode.kind !== 'file') return ''
  if (found.inode.size > ACCOUNT_FILE_BYTES_MAX)
    throw new LayerError('LIMIT_PASSED', `the image's /etc/${name} is larger than ACCOUNT_FILE_BYTES_MAX`)
  const path = diskPath([rootfs, ...found.path].join('/'))
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

export interface RuntimeSpecInput {
  readonly config: ImageConfig
  /** Texts of the image's /etc/passwd and /etc/group, "" where it has none. */
  readonly passwd: string
  readonly group: string
  /** Whose process it will be: root of the container is mapped to this user. */
  readonly rootless?: { readonly uid: number; readonly gid: number }
}

/** The content of config.json. @throws LayerError USER_UNKNOWN */
export function runtimeSpec(input: RuntimeSpecInput): Record<string, unknown> {
  const { config, rootless } = input
  const image = config.config ?? {}
  const { uid, gid, additionalGids, home } = findUser(image.User ?? '', input.passwd, input.group)
  const args = [...(image.Entrypoint ?? []), ...(image.Cmd ?? [])]
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: true,
      // A user namespace with one mapping has no other groups to be in.
      user: { uid, gid, ...(additionalGids.length > 0 && !rootless ? { additionalGids } : {}) },
      args: args.length > 0 ? args : ['sh'],
      env: environment(image.Env ?? [], home),
      cwd: image.WorkingDir || '/',
      capabilities: {
        bounding: CAPABILITIES,
        effective: CAPABILITIES,
        permitted: CAPABILITIES,
      },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs' },
    hostname: 'stowage',
    mounts: [...mounts(rootless !== undefined), ...volumes(image.Volumes ?? {})],
    annotations: annotations(config),
    linux: {
      ...(rootless
        ? {
            uidMappings: [{ containerID: 0, hostID: rootless.uid, size: 1 }],
            gidMappings: [{ containerID: 0, hostID: rootless.gid, size: 1 }],
          }
        : { resources: { devices: [{ allow: false, access: 'rwm' }] } }),
      namespaces: (rootless
        ? ['pid', 'ipc', 'uts', 'mount', 'user']
        : ['pid', 'network', 'ipc', 'uts', 'mount']
      ).map((type) => ({ type })),
      maskedPaths: [
        '/proc/acpi',
        '/proc/asound',
        '/proc/kcore',
        '/proc/keys',
        '/proc/latency_stats',
        '/proc/timer_list',
        '/proc/timer_stats',
        '/proc/sched_debug',
        '/sys/firmware',
        '/proc/scsi',
      ],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  }
}

function environment(env: readonly string[], home: string | undefined): string[] {
  const byName = new Map<string, string>()
  for (const variable of [...DEFAULT_ENV, ...env]) byName.set(variable.split('=', 1)[0] ?? '', variable)
  if (home && !byName.has('HOME')) byName.set('HOME', `HOME=${home}`)
  return [...byName.values()]
}

/** Source: image-spec conversion.md, "Annotation Fields": what the author wrote as a label wins. */
function annotations(config: ImageConfig): Record<string, string> {
  const image = config.config ?? {}
  const facts: Record<string, string | null | undefined> = {
    os: config.os,
    architecture: config.architecture,
    variant: config.variant,
    'os.version': config['os.version'],
    'os.features': config['os.features']?.join(','),
    author: config.author,
    created: config.created,
    stopSignal: image.StopSignal,
    exposedPorts: Object.keys(image.ExposedPorts ?? {})
      .sort()
      .join(','),
  }
  const named = Object.entries(facts).flatMap(([name, value]) => (value ? [[ANNOTATION + name, value]] : []))
  return { ...Object.fromEntries(named), ...image.Labels }
}

interface Mount {
  readonly destination: string
  readonly type: string
  readonly source: string
  readonly options?: readonly string[]
}

function mounts(rootless: boolean): Mount[] {
  const hidden = ['nosuid', 'noexec', 'nodev']
  const pts = ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620']
  const common: Mount[] = [
    { destination: '/proc', type: 'proc', source: 'proc' },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    // Group 5 (tty) is not mapped in a user namespace of one.
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: rootless ? pts : [...pts, 'gid=5'],
    },
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: [...hidden, 'mode=1777', 'size=65536k'],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: hidden },
  ]
  // Without a network namespace of its own a container may not mount sysfs: it gets the host's, read-only.
  if (rootless)
    return [
      ...common,
      { destination: '/sys', type: 'none', source: '/sys', options: ['rbind', ...hidden, 'ro'] },
    ]
  return [
    ...common,
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...hidden, 'ro'] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: [...hidden, 'relatime', 'ro'],
    },
  ]
}

/** Source: image-spec conversion.md: a volume is a place that the root file system does not keep. */
function volumes(volumesOfImage: Readonly<Record<string, unknown>>): Mount[] {
  return Object.keys(volumesOfImage)
    .sort()
    .map((destination) => ({
      destination,
      type: 'tmpfs',
      source: 'none',
      options: ['rw', 'nosuid', 'nodev', 'noexec', 'relatime'],
    }))
}
