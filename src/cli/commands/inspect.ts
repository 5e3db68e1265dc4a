import type { Command } from 'commander'
import { type Session, type Tools, withSession } from '#cli/session.ts'

interface InspectOptions {
  readonly platform?: string
  readonly raw?: boolean
  readonly config?: boolean
  readonly referrers: boolean
}

export function addInspectCommand(program: Command, tools: Tools): void {
  program
    .command('inspect')
    .description('show an image: manifest, platforms, config, layers, sizes, history, and what refers to it')
    .argument('<image>', 'an image of a registry, a folder or an archive')
    .option('--platform <os/arch>', 'one image of a multi-platform image')
    .option('--raw', 'the bytes of the manifest as they are')
    .option('--config', 'the image config as it is')
    .option('--no-referrers', 'do not ask what refers to it')
    .addHelpText(
      'after',
      `
Examples:
  stowage inspect localhost:5000/app:1
  stowage inspect --platform linux/arm64 --config alpine:3.22
  stowage inspect --json oci:./app | jq .layers`,
    )
    .action(async (image: string, options: InspectOptions, command: Command) => {
      await withSession(command, tools, (session) => inspect(session, image, options))
    })
}

async function inspect(session: Session, text: string, options: InspectOptions): Promise<void> {
  const { openSource } = await import('#cli/open-place.ts')
  const { loadImage, loadManifest } = await import('#cli/load-image.ts')
  const { describeImage, imageLines } = await import('#cli/image-description.ts')
  const { signal, output } = session
  const source = await openSource(session, text)
  const loaded =
    options.platform === undefined && !options.config
      ? await loadManifest(source, signal)
      : await loadImage(source, options.platform, signal)
  if (options.raw) {
    output.result(loaded.content.bytes.toString('utf8'))
    return
  }
  if (options.config && 'config' in loaded) {
    output.result(JSON.stringify(loaded.config ?? null, undefined, session.options.json ? undefined : 2))
    return
  }
  const description = await describeImage(source, loaded, { referrers: options.referrers, signal })
  session.print(description, () => imageLines(description, session.paint))
}
