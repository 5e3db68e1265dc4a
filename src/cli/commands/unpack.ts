import type { Command } from 'commander'
import { type Session, type Tools, withSession } from '#cli/session.ts'

interface UnpackCommandOptions {
  readonly platform?: string
  readonly bundle?: boolean
  readonly rootless?: boolean
}

export function addUnpackCommand(program: Command, tools: Tools): void {
  program
    .command('unpack')
    .description('assemble the layers of an image into a root file system')
    .argument('<image>', 'an image of a registry, a folder or an archive')
    .argument('<folder>', 'absent or empty; it appears when every layer was verified')
    .option('--platform <os/arch>', 'of a multi-platform image; by default that of this machine')
    .option('--bundle', 'a bundle for runc or crun: rootfs/ and config.json')
    .option('--rootless', 'leave owners and devices out, as without root')
    .addHelpText(
      'after',
      `
Examples:
  stowage unpack localhost:5000/app:1 ./rootfs
  stowage unpack --bundle oci:./app ./bundle && runc run --bundle ./bundle app`,
    )
    .action(async (image: string, folder: string, options: UnpackCommandOptions, command: Command) => {
      await withSession(command, tools, (session) => unpack(session, image, folder, options))
    })
}

async function unpack(
  session: Session,
  image: string,
  folder: string,
  options: UnpackCommandOptions,
): Promise<void> {
  const { openSource } = await import('#cli/open-place.ts')
  const { layerSources, loadImage } = await import('#cli/load-image.ts')
  const { count, formatBytes, printable, shortDigest } = await import('#cli/figures.ts')
  const { unpackBundle } = await import('#layers/bundle.ts')
  const { unpackImage } = await import('#layers/unpack.ts')
  const { signal, progress } = session
  const source = await openSource(session, image)
  const loaded = await loadImage(source, options.platform, signal)
  const descriptors = loaded.links.layers
  const taken = descriptors.map(() => 0)
  const common = {
    layers: layerSources(source, loaded, signal),
    into: folder,
    ...(options.rootless ? { asRoot: false } : {}),
    signal,
    onBytes: (layer: number, bytes: number) => {
      const descriptor = descriptors[layer]
      if (!descriptor) return
      const { digest, size } = descriptor
      const before = taken[layer] ?? 0
      if (before === 0) progress.start(digest, shortDigest(digest), size)
      taken[layer] = before + bytes
      progress.advance(digest, bytes)
      if (before + bytes >= size)
        progress.end(digest, `${shortDigest(digest)}  unpacked  ${formatBytes(size)}`)
    },
  }
  const report = options.bundle
    ? await unpackBundle({ ...common, config: loaded.config })
    : await unpackImage(common)
  for (const { path, what, why } of report.skipped.slice(0, 20))
    session.say(`left out: ${what} of ${printable(path)}: ${why}`)
  if (report.skippedCount > 20) session.say(`left out: ${report.skippedCount - 20} more`)
  const { digest } = loaded.content.descriptor
  session.print({ image: source.text, digest, folder, ...report }, () => [
    `${folder}: ${count(report.entries, 'entry', 'entries')} of ${count(report.layers, 'layer')}, ${formatBytes(report.bytes)}`,
  ])
}
