import type { Command } from 'commander'
import { type Tools, withSession } from '#cli/session.ts'
import type { TransferOptions } from '#cli/transfer.ts'

export function addPullCommand(program: Command, tools: Tools): void {
  program
    .command('pull')
    .description('bring an image from a registry to an OCI layout folder or an archive')
    .argument('<image>', 'what to pull, as docker names it')
    .argument('[to]', 'a folder, a file that ends in .tar, oci:…, oci-archive:… or docker-archive:FILE:NAME')
    .option('--platform <os/arch>', 'one platform of a multi-platform image; all of them without this')
    .option('--all-tags', 'every tag of the repository')
    .option('--referrers', 'signatures, SBOMs and what else refers to the image')
    .option('--non-distributable', 'also layers that their licence wants fetched elsewhere')
    .addHelpText(
      'after',
      `
Without [to] the folder has the last part of the image's name. What is there already is not fetched again.

Examples:
  stowage pull alpine:3.22
  stowage pull localhost:5000/team/app:1.4 ./app --referrers
  stowage pull --platform linux/arm64 ghcr.io/team/app:1.4 app.tar
  stowage pull localhost:5000/app:1 docker-archive:app.tar:app:1   # for docker load`,
    )
    .action(async (from: string, to: string | undefined, options: TransferOptions, command: Command) => {
      await withSession(command, tools, async (session) => {
        const { transfer } = await import('#cli/transfer.ts')
        const { parseImageText } = await import('#cli/image-text.ts')
        const { name } = parseImageText(from)
        const last = name.kind === 'registry' ? name.repository.split('/').at(-1) : name.path
        const destination = { local: true }
        await transfer(session, { from, to: to ?? `oci:${last}`, destination }, options)
      })
    })
}
