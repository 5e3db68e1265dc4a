// The images that the clients carry: made from a static busybox and made-up bytes, as OCI image layouts, without any client.
import { createCipheriv, createHash } from 'node:crypto'
import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { runCommand } from './command.ts'

/** Of the images; what the other layers have is less. */
export const LARGEST_LAYER_BYTES = 2 * 1024 * 1024
/** Where a dynamic program names its loader. */
const ELF_HEADERS_BYTES = 4096
const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip'

/** What `/hello.txt` of every image says. */
export const GREETING = 'hello from a pulled image'

interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly platform?: { readonly os: string; readonly architecture: string }
  readonly annotations?: Readonly<Record<string, string>>
}

interface Layer {
  readonly descriptor: Descriptor
  readonly diffId: string
}

export interface Images {
  /** A layout of one image for linux/amd64, three layers, tagged `app`. */
  readonly app: string
  readonly appDigest: string
  /** A layout of one index over linux/amd64 and linux/arm64, tagged `multi`. */
  readonly multi: string
  readonly multiDigest: string
  /** A root file system with /bin/busybox, /bin/sh and /hello.txt: the same files as in `app`. */
  readonly rootfs: string
  /** `rootfs` as one tar archive. */
  readonly rootfsTar: string
  /** A tar archive with the single file /extra.txt. */
  readonly extraTar: string
}

/** Makes the images below `dir`, an existing folder. `busybox` is the path of a static one. */
export async function makeImages(
  dir: string,
  busybox: string,
  env: Readonly<Record<string, string>>,
): Promise<Images> {
  const base = join(dir, 'base')
  await mkdir(join(base, 'bin'), { recursive: true })
  for (const name of ['etc', 'tmp', 'proc', 'sys', 'dev', 'root']) await mkdir(join(base, name))
  await copyFile(busybox, join(base, 'bin', 'busybox'))
  if ((await readFile(busybox)).subarray(0, ELF_HEADERS_BYTES).includes('/ld-linux')) {
    throw new Error(`${busybox} is not static and would not run in an image: apt-get install busybox-static`)
  }
  for (const name of ['sh', 'cat', 'echo', 'ls']) await symlink('busybox', join(base, 'bin', name))
  await writeFile(join(base, 'etc', 'passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
  const data = join(dir, 'data')
  await mkdir(join(data, 'srv'), { recursive: true })
  await writeFile(join(data, 'srv', 'data.bin'), madeUpBytes('stowage', LARGEST_LAYER_BYTES))
  const hello = join(dir, 'hello')
  await mkdir(hello)
  await writeFile(join(hello, 'hello.txt'), `${GREETING}\n`)
  const extra = join(dir, 'extra')
  await mkdir(extra)
  await writeFile(join(extra, 'extra.txt'), 'appended\n')

  const rootfs = join(dir, 'rootfs')
  await mkdir(rootfs)
  const tars: string[] = []
  for (const folder of [base, data, hello]) {
    const tar = `${folder}.tar`
    await pack(folder, tar, env)
    await ok('tar', ['-xf', tar, '-C', rootfs], env)
    tars.push(tar)
  }
  await pack(rootfs, join(dir, 'rootfs.tar'), env)
  await pack(extra, join(dir, 'extra.tar'), env)

  const app = new LayoutWriter(join(dir, 'layout-app'))
  const appManifest = await app.image('amd64', await app.layers(tars))
  await app.finish({ ...appManifest, annotations: { 'org.opencontainers.image.ref.name': 'app' } })

  const multi = new LayoutWriter(join(dir, 'layout-multi'))
  const layers = await multi.layers(tars)
  const manifests: Descriptor[] = []
  for (const architecture of ['amd64', 'arm64']) {
    manifests.push({
      ...(await multi.image(architecture, layers)),
      platform: { os: 'linux', architecture },
    })
  }
  const index = await multi.json(INDEX_TYPE, { schemaVersion: 2, mediaType: INDEX_TYPE, manifests })
  await multi.finish({ ...index, annotations: { 'org.opencontainers.image.ref.name': 'multi' } })

  return {
    app: app.dir,
    appDigest: appManifest.digest,
    multi: multi.dir,
    multiDigest: index.digest,
    rootfs,
    rootfsTar: join(dir, 'rootfs.tar'),
    extraTar: join(dir, 'extra.tar'),
  }
}

/** `length` bytes that no compressor shortens, the same for the same seed. */
export function madeUpBytes(seed: string, length: number): Buffer {
  const key = createHash('sha256').update(seed).digest()
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

class LayoutWriter {
  readonly dir: string

  constructor(dir: string) {
    this.dir = dir
  }

  async layers(tars: readonly string[]): Promise<Layer[]> {
    const layers: Layer[] = []
    for (const tar of tars) {
      const bytes = await readFile(tar)
      layers.push({ descriptor: await this.blob(LAYER_TYPE, gzipSync(bytes)), diffId: sha256(bytes) })
    }
    return layers
  }

  async image(architecture: string, layers: readonly Layer[]): Promise<Descriptor> {
    const config = await this.json(CONFIG_TYPE, {
      architecture,
      os: 'linux',
      created: '2024-01-01T00:00:00Z',
      config: { Env: ['PATH=/bin'], Cmd: ['/bin/cat', '/hello.txt'], WorkingDir: '/' },
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
      history: layers.map(() => ({ created: '2024-01-01T00:00:00Z', created_by: 'client suite' })),
    })
    return this.json(MANIFEST_TYPE, {
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config,
      layers: layers.map((layer) => layer.descriptor),
    })
  }

  json(mediaType: string, value: unknown): Promise<Descriptor> {
    return this.blob(mediaType, Buffer.from(JSON.stringify(value)))
  }

  async blob(mediaType: string, bytes: Buffer): Promise<Descriptor> {
    const digest = sha256(bytes)
    const folder = join(this.dir, 'blobs', 'sha256')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, digest.slice('sha256:'.length)), bytes)
    return { mediaType, digest, size: bytes.length }
  }

  async finish(root: Descriptor): Promise<void> {
    await writeFile(join(this.dir, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
    const index = { schemaVersion: 2, mediaType: INDEX_TYPE, manifests: [root] }
    await writeFile(join(this.dir, 'index.json'), JSON.stringify(index))
  }
}

async function pack(folder: string, tar: string, env: Readonly<Record<string, string>>): Promise<void> {
  const fixed = ['--sort=name', '--mtime=@1704067200', '--owner=0', '--group=0', '--numeric-owner']
  await ok('tar', [...fixed, '-cf', tar, '-C', folder, '.'], env)
}

async function ok(program: string, args: string[], env: Readonly<Record<string, string>>): Promise<void> {
  const outcome = await runCommand(program, args, { env })
  if (outcome.code !== 0) throw new Error(`${program} ${args.join(' ')}: ${outcome.stderr}`)
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
