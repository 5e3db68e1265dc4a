import type { Command } from 'commander'
import { type Tools, withSession } from '#cli/session.ts'

export function addTagCommand(program: Command, tools: Tools): void {
  program
    .command('tag')
    .description('give an image of a registry more tags, or move tags to it')
    .argument('<image>', 'the image, by tag or digest')
    .argument('<tags...>', 'the tags')
    .addHelpText(
      'after',
      `
Only the manifest is sent. A tag that is there already is moved.

Example:
  stowage tag localhost:5000/app:1.4.2 1.4 latest`,
    )
    .action(async (image: string, names: string[], _: object, command: Command) => {
      await withSession(command, tools, async (session) => {
        const { openRepository } = await import('#cli/open-place.ts')
        const { asUsage } = await import('#cli/image-text.ts')
        const { CommandFailure, EXIT } = await import('#cli/output.ts')
        const { referenceOf } = await import('#client/reference-name.ts')
        const { parseTag } = await import('#oci/reference.ts')
        const tags = names.map((name) => asUsage(() => parseTag(name)))
        const { place, name } = await openRepository(session, image, true)
        const { signal } = session
        const manifest = await place.manifest(referenceOf(name), { signal })
        if (!manifest) throw new CommandFailure(EXIT.notFound, `${image} does not exist`)
        for (const tag of tags) await place.pushManifest(manifest, { tag, signal })
        const { digest } = manifest.descriptor
        session.print({ repository: place.label, digest, tags }, () =>
          tags.map((tag) => `${place.label}:${tag}@${digest}`),
        )
      })
    })
}
