import type { Command } from 'commander'
import { gathered } from '#cli/gathered.ts'
import { type Tools, withSession } from '#cli/session.ts'
import type { TransferOptions } from '#cli/transfer.ts'

export function addCopyCommand(program: Command, tools: Tools): void {
  program
    .command('copy')
    .description('copy an image, or all tags of a repository, between registries, layouts and archives')
    .argument('<from>', 'an image as docker names it, or oci:FOLDER, oci-archive:FILE, docker-archive:FILE')
    .argument('<to>', 'the same; without a tag it keeps the one it has')
    .option('--platform <os/arch>', 'one platform of a multi-platform image; all of them without this')
    .option('--all-tags', 'every tag of the repository')
    .option('--also-tag <tag>', 'another tag for it, repeatable', gathered)
    .option('--referrers', 'signatures, SBOMs and what else refers to the image')
    .option('--non-distributable', 'also layers that their licence wants fetched elsewhere')
    .addHelpText(
      'after',
      `
Within one registry blobs are linked, not sent. What the destination has is not sent again.
http:// or https:// before a registry says how to speak with that one.

Examples:
  stowage copy alpine:3.22 localhost:5000/alpine
  stowage copy --all-tags --referrers ghcr.io/team/app localhost:5000/team/app
  stowage copy http://old:5000/app:1 https://new.example.com/app:1 --also-tag latest`,
    )
    .action(async (from: string, to: string, options: TransferOptions, command: Command) => {
      await withSession(command, tools, async (session) => {
        const { transfer } = await import('#cli/transfer.ts')
        await transfer(session, { from, to }, options)
      })
    })
}
