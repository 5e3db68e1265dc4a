import type { Command } from 'commander'
import { gathered } from '#cli/gathered.ts'
import { type Tools, withSession } from '#cli/session.ts'
import type { TransferOptions } from '#cli/transfer.ts'

export function addPushCommand(program: Command, tools: Tools): void {
  program
    .command('push')
    .description('send an image from an OCI layout folder or an archive to a registry')
    .argument('<from>', 'a folder or archive, with :TAG where it holds several images')
    .argument('<image>', 'where to, as docker names it; without a tag it keeps the one it has')
    .option('--platform <os/arch>', 'one platform of a multi-platform image; all of them without this')
    .option('--all-tags', 'every tag of the layout')
    .option('--also-tag <tag>', 'another tag for it, repeatable', gathered)
    .option('--referrers', 'signatures, SBOMs and what else refers to the image')
    .addHelpText(
      'after',
      `
Examples:
  stowage push ./app localhost:5000/team/app:1.4
  stowage push app.tar localhost:5000/team/app:1.4 --also-tag latest
  docker save app:1 -o app.tar && stowage push app.tar localhost:5000/app:1`,
    )
    .action(async (from: string, to: string, options: TransferOptions, command: Command) => {
      await withSession(command, tools, async (session) => {
        const { transfer } = await import('#cli/transfer.ts')
        await transfer(session, { from, to, source: { local: true } }, options)
      })
    })
}
