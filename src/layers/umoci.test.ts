// Unpacks real images beside `umoci unpack` and compares file by file: an independent reader of the same specification.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { unpackBundle } from '#layers/bundle.ts'
import { type CraftedEntry, inPieces, tarOf } from '#layers/crafted-tar.suite.ts'
import { removeTree } from '#layers/new-folder.ts'
import type { LayerSource } from '#layers/read.ts'
import { type Digest, digestOf, encodedOf, parseDigest } from '#oci/digest.ts'

const runs = (program: string) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0
const isRoot = process.getuid?.() === 0
const noUmoci = !runs('umoci') && 'needs umoci'
const hasAttr = runs('getfattr') && runs('setfattr')

function scratch(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'stowage-umoci-'))
  context.after(() => removeTree(folder))
  return folder
}

const NO_TIME = '0001-01-01T00:00:00Z'

interface Manifest {
  readonly config: { readonly digest: string }
  readonly layers: readonly { readonly digest: string; readonly mediaType: string }[]
}

/** The one image of an OCI layout folder. */
function openLayout(layout: string): { layers: LayerSource[]; config: unknown } {
  const blob = (digest: string) => readFileSync(join(layout, 'blobs/sha256', encodedOf(parseDigest(digest))))
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'))
  const manifest: Manifest = JSON.parse(blob(index.manifests[0].digest).toString())
  const config = JSON.parse(blob(manifest.config.digest).toString())
  const diffIds: string[] = config.rootfs.diff_ids
  const layers = manifest.layers.map(({ digest, mediaType }, at) => ({
    open: () => inPieces(blob(digest), 65_536),
    mediaType,
    diffId: parseDigest(diffIds[at] ?? ''),
  }))
  return { layers, config }
}

/** Writes an image of these layers as an OCI layout, with the tag `image`. */
function writeLayout(layout: string, tars: readonly Buffer[]): void {
  mkdirSync(join(layout, 'blobs/sha256'), { recursive: true })
  const put = (mediaType: string, bytes: Buffer | string) => {
    const digest: Digest = digestOf(bytes)
    writeFileSync(join(layout, 'blobs/sha256', encodedOf(digest)), bytes)
    return { mediaType, digest, size: Buffer.byteLength(bytes) }
  }
  const oci = 'application/vnd.oci.image.'
  const diff_ids = tars.map((tar) => digestOf(tar))
  const rootfs = { type: 'layers', diff_ids }
  const platform = { architecture: 'amd64', os: 'linux' }
  const config = put(`${oci}config.v1+json`, JSON.stringify({ ...platform, config: {}, rootfs }))
  const layers = tars.map((tar) => put(`${oci}layer.v1.tar+gzip`, gzipSync(tar)))
  const mediaType = `${oci}manifest.v1+json`
  const manifest = put(mediaType, JSON.stringify({ schemaVersion: 2, mediaType, config, layers }))
  const annotations = { 'org.opencontainers.image.ref.name': 'image' }
  writeFileSync(
    join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  )
  writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
}

/** Every file below the folder: type, mode, owner, size, time to the microsecond, links, content, as one line each. */
function inventory(root: string, timeless: ReadonlySet<string>): Map<string, string> {
  const lines = new Map<string, string>()
  const firstNames = new Map<bigint, string>()
  const visit = (path: string) => {
    const at = join(root, path)
    const stat = lstatSync(at, { bigint: true })
    const first = firstNames.get(stat.ino) ?? path
    firstNames.set(stat.ino, first)
    const facts = [stat.mode.toString(8), stat.uid, stat.gid, stat.rdev]
    if (!timeless.has(path)) facts.push(stat.mtimeNs / 1000n)
    if (stat.isSymbolicLink()) facts.push(`-> ${readlinkSync(at)}`)
    if (!stat.isDirectory()) facts.push(`${stat.nlink} names, first ${first}`)
    if (stat.isFile() && !isRoot) chmodSync(at, 0o600)
    if (stat.isFile()) facts.push(stat.size, createHash('sha256').update(readFileSync(at)).digest('hex'))
    lines.set(path, facts.join(' '))
    if (stat.isDirectory()) for (const name of readdirSync(at).sort()) visit(join(path, name))
  }
  visit('.')
  if (hasAttr) {
    const dump = execFileSync('getfattr', ['-R', '-P', '-d', '-e', 'hex', '-m', '-', '.'], {
      cwd: root,
      encoding: 'utf8',
    })
    for (const block of dump.split('\n\n')) {
      const [head, ...attributes] = block.trim().split('\n')
      if (head?.startsWith('# file: ')) {
        const path = head.slice('# file: '.length)
        lines.set(path, `${lines.get(path)} ${attributes.sort().join(' ')}`)
      }
    }
  }
  return lines
}

/** Unpacks the image of a layout with both, and compares everything. Returns what there was. */
async function compareWithUmoci(
  folder: string,
  layout: string,
  options: { rootless?: boolean; timeless?: readonly string[] } = {},
): Promise<Map<string, string>> {
  const theirs = join(folder, 'theirs')
  const ours = join(folder, 'ours')
  const flags = options.rootless ? ['--rootless'] : []
  execFileSync('umoci', ['unpack', ...flags, '--image', `${layout}:image`, theirs], { stdio: 'pipe' })
  const { layers, config } = openLayout(layout)
  const report = await unpackBundle({ layers, config, into: ours, asRoot: !options.rootless })
  if (hasAttr) assert.deepEqual(report.skipped, [])
  const timeless = new Set(options.timeless)
  const expected = inventory(join(theirs, 'rootfs'), timeless)
  const actual = inventory(join(ours, 'rootfs'), timeless)
  assert.deepEqual(Object.fromEntries(actual), Object.fromEntries(expected))
  compareSpecs(join(ours, 'config.json'), join(theirs, 'config.json'), options.rootless ?? false)
  return actual
}

function compareSpecs(ourPath: string, theirPath: string, rootless: boolean): void {
  const ours = JSON.parse(readFileSync(ourPath, 'utf8'))
  const theirs = JSON.parse(readFileSync(theirPath, 'utf8'))
  for (const key of ['user', 'args', 'env', 'cwd', 'rlimits', 'noNewPrivileges', 'terminal'])
    assert.deepEqual(ours.process[key], theirs.process[key], key)
  // umoci writes annotations for what the config does not say, too.
  const said = Object.entries<string>(theirs.annotations).filter(
    ([, value]) => !['', NO_TIME].includes(value),
  )
  assert.deepEqual(ours.annotations, Object.fromEntries(said))
  assert.deepEqual(ours.root, theirs.root)
  assert.deepEqual(ours.linux.uidMappings, theirs.linux.uidMappings)
  const types = (spec: typeof ours) => spec.linux.namespaces.map(({ type }: { type: string }) => type).sort()
  assert.deepEqual(types(ours), types(theirs))
  // umoci binds the host's resolv.conf and all of /sys in a rootless bundle, where `runc spec --rootless` does less.
  if (!rootless) assert.deepEqual(ours.mounts, theirs.mounts)
}

/** Grows an image by a script over its root file system, a layer for each, as its users do: unpack, change, repack. */
async function growImage(
  folder: string,
  layout: string,
  scripts: readonly string[],
  rootless: boolean,
): Promise<void> {
  const flags = rootless ? ['--rootless'] : []
  const umoci = (...args: string[]) => execFileSync('umoci', args, { stdio: 'pipe' })
  umoci('init', '--layout', layout)
  umoci('new', '--image', `${layout}:image`)
  for (const [index, script] of scripts.entries()) {
    const bundle = join(folder, `grow${index}`)
    umoci('unpack', ...flags, '--image', `${layout}:image`, bundle)
    execFileSync('sh', ['-e', '-c', script], { cwd: join(bundle, 'rootfs'), stdio: 'pipe' })
    umoci('repack', '--refresh-bundle', '--image', `${layout}:image`, bundle)
    await removeTree(bundle)
  }
  const set = (...args: string[]) => umoci('config', '--image', `${layout}:image`, ...args)
  set('--config.user', 'app:mail', '--config.env', 'A=b=c', '--config.entrypoint', '/bin/sh')
  set('--config.cmd', '-c', '--config.cmd', 'id', '--config.workingdir', '/srv', '--config.volume', '/data')
  set(
    '--config.exposedports',
    '80/tcp',
    '--config.label',
    'l=v',
    '--author',
    'me',
    '--config.stopsignal',
    'TERM',
  )
}

const plainScripts = [
  `mkdir -p bin etc srv tmp/deep/er usr/lib
   cp /bin/sh /bin/ls /bin/cat bin/ ; cp /etc/os-release /etc/hostname etc/ 2>/dev/null || true
   printf 'root:x:0:0::/root:/bin/sh\\napp:x:0:7::/srv:/bin/sh\\n' > etc/passwd; printf 'mail:x:0:\\n' > etc/group
   ln bin/ls bin/dir; ln -s ls bin/vdir; ln -s /bin/sh srv/shell; ln -s ../../.. srv/up; ln -s nowhere srv/dangling
   chmod 4755 bin/sh; chmod 2755 bin/cat; chmod 1777 tmp; chmod 700 tmp/deep; chmod 444 etc/passwd; mkfifo srv/pipe
   printf x > 'srv/a name with spaces'; printf y > srv/naïve-ü-😀; : > srv/empty
   long=$(printf 'n%.0s' $(seq 1 200)); mkdir -p srv/$long; printf z > srv/$long/$long
   head -c 300000 /dev/urandom > usr/lib/random; head -c 3000000 /dev/zero > usr/lib/zeros
   touch -d '1999-12-31 23:59:59' etc/passwd tmp; touch -h -d '2001-01-01' srv/shell; touch -d '2002-02-02' usr/lib`,
  `rm bin/cat; rm -r tmp/deep; mkdir tmp/deep; printf new > tmp/deep/new; rm srv/empty; mkdir srv/empty; printf q > srv/empty/q
   printf more >> etc/os-release; rm srv/dangling; printf 'now a file' > srv/dangling; rm -r usr/lib; ln -s /bin usr/lib
   ln bin/sh bin/ash; chmod 600 srv/naïve-ü-😀; touch -d '2003-03-03' srv`,
  `rm -r srv/empty; rm usr/lib; mkdir usr/lib; printf back > usr/lib/back; mkdir -p bin/sub; printf s > bin/sub/s
   touch -d '2004-04-04' usr/lib bin; chmod 0 tmp/deep/new; chmod 555 tmp/deep`,
]

const rootScripts = [
  `chown 12:34 bin/ls; chown -h 56:78 srv/shell; chown 90:91 tmp; chown 3000000:4000000 srv; chown 7:8 srv/pipe
   mknod srv/null c 1 3; mknod srv/disk b 7 300; chmod 666 srv/null
   mkdir -p opt/a/b; printf 1 > opt/a/b/1; printf 2 > opt/a/2; chown -R 5:6 opt`,
  `rm srv/null; chown 99:99 opt/a; rm opt/a/2; touch -d '2005-05-05' opt opt/a opt/a/b`,
]

const attrScripts = [
  `setfattr -n user.note -v 0x00ff0a3d opt/a; setfattr -n user.text -v value bin/ls
   setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 bin/dir; touch -d '2006-06-06' bin opt/a`,
]

test('a real image of many layers unpacks as umoci unpacks it, as root', {
  skip: noUmoci || (!isRoot && 'needs root'),
}, async (context) => {
  const folder = scratch(context)
  const layout = join(folder, 'layout')
  const scripts = [...plainScripts, ...rootScripts, ...(hasAttr ? attrScripts : [])]
  await growImage(folder, layout, scripts, false)
  const files = await compareWithUmoci(folder, layout)
  assert.ok(files.size > 25, `${files.size} files`)
  const facts = [...files.values()].join('\n')
  assert.match(facts, /^104755 /m)
  assert.match(facts, /2 names, first bin\/ash/)
  if (hasAttr) assert.match(facts, /security\.capability=0x01000002/)
})

test('a real image of many layers unpacks as umoci unpacks it, without root', {
  skip: noUmoci,
}, async (context) => {
  const folder = scratch(context)
  const layout = join(folder, 'layout')
  await growImage(folder, layout, plainScripts, true)
  await compareWithUmoci(folder, layout, { rootless: true })
})

test('an image made by `umoci insert`, whose tars have no end, unpacks as umoci unpacks it', {
  skip: noUmoci || (!isRoot && 'needs root'),
}, async (context) => {
  const folder = scratch(context)
  const layout = join(folder, 'layout')
  mkdirSync(join(folder, 'tree'))
  writeFileSync(join(folder, 'tree', 'file'), 'x'.repeat(700))
  const umoci = (...args: string[]) => execFileSync('umoci', args, { stdio: 'pipe' })
  umoci('init', '--layout', layout)
  umoci('new', '--image', `${layout}:image`)
  umoci('insert', '--image', `${layout}:image`, join(folder, 'tree'), '/')
  await compareWithUmoci(folder, layout)
})

const crafted: readonly {
  name: string
  layers: readonly (readonly CraftedEntry[])[]
  timeless?: readonly string[]
}[] = [
  {
    name: 'opaque folders, marks before and behind',
    layers: [
      [{ name: 'd/' }, { name: 'd/low', content: '1' }, { name: 'd/sub/' }, { name: 'd/sub/low' }],
      [
        { name: 'd/' },
        { name: 'd/.wh..wh..opq' },
        { name: 'd/high' },
        { name: 'd/sub/' },
        { name: 'd/sub/high' },
      ],
      [{ name: 'd/' }, { name: 'd/higher' }, { name: 'd/.wh..wh..opq' }],
    ],
  },
  {
    name: 'whiteouts before and behind what their own layer has',
    layers: [
      [{ name: 'a', content: '1' }, { name: 'b', content: '1' }, { name: 'd/' }, { name: 'd/x' }],
      [
        { name: '.wh.a' },
        { name: 'a', content: '2' },
        { name: 'b', content: '2' },
        { name: '.wh.b' },
        { name: '.wh.d' },
      ],
    ],
  },
  {
    name: 'entries through symlinks of lower layers',
    layers: [
      [{ name: 'usr/' }, { name: 'usr/bin/' }, { name: 'bin', type: '2', link: 'usr/bin' }],
      [
        { name: 'abs', type: '2', link: '/../usr/bin' },
        { name: 'bin/one', content: '1' },
        { name: 'abs/two' },
      ],
      [{ name: 'bin/.wh.two' }, { name: 'three', type: '1', link: 'bin/one' }],
    ],
  },
  {
    name: 'names that are absolute, dotted and doubled',
    layers: [
      [
        { name: '/abs/' },
        { name: './/dot//file', content: 'x' },
        { name: 'a/../b' },
        { name: 'a/', mode: 0o700 },
      ],
    ],
    // umoci gives a folder that no entry states, and the one above it, the time of the run.
    timeless: ['.', 'dot'],
  },
  {
    name: 'kinds that replace each other',
    layers: [
      [
        { name: 'f' },
        { name: 'd/' },
        { name: 'd/x' },
        { name: 's', type: '2', link: 'd' },
        { name: 't', type: '2', link: 'f' },
      ],
      [
        { name: 'f/' },
        { name: 'f/in' },
        { name: 'd', content: 'file' },
        { name: 's/' },
        { name: 't', content: 'file' },
      ],
    ],
  },
]

for (const { name, layers, timeless } of crafted)
  test(`umoci and we agree on ${name}`, { skip: noUmoci || (!isRoot && 'needs root') }, async (context) => {
    const folder = scratch(context)
    const layout = join(folder, 'layout')
    const root = { name: './', mode: 0o755 }
    writeLayout(
      layout,
      layers.map((entries, at) => tarOf(...(at === 0 ? [root] : []), ...entries)),
    )
    await compareWithUmoci(folder, layout, { timeless: timeless ?? [] })
  })
