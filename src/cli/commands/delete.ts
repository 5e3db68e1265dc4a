import type { Command } from 'commander'
import { CommandFailure, EXIT } from '#cli/output.ts'
import { type Session, type Tools, withSession } from '#cli/session.ts'

interface DeleteOptions {
  readonly yes?: boolean
  readonly now?: boolean
}

export function addDeleteCommand(program: Command, tools: Tools): void {
  program
    .command('delete')
    .alias('rm')
    .description('delete a tag, or a manifest with all tags that stand for it')
    .argument('<images...>', 'repository:tag for the tag alone, repository@digest for the manifest')
    .option('-y, --yes', 'do not ask, which a terminal is otherwise')
    .option(
      '--now',
      'for good and at once, with the bytes that nothing else holds; Stowage alone can do that',
    )
    .addHelpText(
      'after',
      `
The name must have a tag or a digest: nothing is deleted by default. Bytes are freed later by the
registry, and Stowage can restore an image until then: see stowage restore --help. A secret that leaked goes with --now.

Examples:
  stowage delete localhost:5000/app:old
  stowage delete --yes localhost:5000/app@sha256:6c3c…
  stowage delete --now localhost:5000/app:leaked`,
    )
    .action(async (images: string[], options: DeleteOptions, command: Command) => {
      await withSession(command, tools, (session) => deleteAll(session, images, options))
    })
}

async function deleteAll(session: Session, images: readonly string[], options: DeleteOptions): Promise<void> {
  const { parseImageText } = await import('#cli/image-text.ts')
  for (const image of images) {
    const { name } = parseImageText(image)
    if (options.now && name.kind !== 'registry')
      throw new CommandFailure(EXIT.usage, `${image} is not in a registry: --now is for a registry`)
    if (name.tag === undefined && name.digest === undefined)
      throw new CommandFailure(EXIT.usage, `${image} has no tag and no digest`, {
        hint: 'write repository:tag to delete a tag, repository@digest to delete a manifest',
      })
  }
  if (!options.yes && session.actions.canAsk()) {
    const answer = await session.actions.readLine(`Delete ${images.join(', ')}? [y/N] `)
    if (!/^y(es)?$/i.test(answer.trim())) throw new CommandFailure(EXIT.failed, 'nothing was deleted')
  }
  const deleted: { image: string; digest: string | undefined }[] = []
  for (const image of images)
    deleted.push({ image, digest: await (options.now ? purgeOne : deleteOne)(session, image) })
  session.print({ deleted }, () => deleted.map(({ image }) => `deleted ${image}`))
}

async function deleteOne(session: Session, image: string): Promise<string | undefined> {
  const { openRepository } = await import('#cli/open-place.ts')
  const { referenceOf } = await import('#client/reference-name.ts')
  const { isClientError } = await import('#client/client-error.ts')
  const { place, name } = await openRepository(session, image, true)
  const call = { signal: session.signal }
  const reference = referenceOf(name)
  const found = await place.resolve(reference, call)
  if (!reference || !found) throw new CommandFailure(EXIT.notFound, `${image} does not exist`)
  const isGone = await place.deleteManifest(reference, call).catch((cause) => {
    // Registries before the specification of 2024 delete by digest alone.
    if (reference.tag === undefined || !isClientError(cause, 'refused', 'invalid')) throw cause
    throw new CommandFailure(EXIT.failed, cause.message, {
      hint: `if this registry deletes no tags, delete what it stands for, with all tags of it: ${place.label}@${found.digest}`,
      cause,
    })
  })
  if (!isGone) throw new CommandFailure(EXIT.notFound, `${image} does not exist`)
  return found.digest
}

async function purgeOne(session: Session, image: string): Promise<string | undefined> {
  const { parseImageText } = await import('#cli/image-text.ts')
  const { AdminClient } = await import('#cli/admin-client.ts')
  const { part } = await import('#cli/admin-path.ts')
  const { name } = parseImageText(image)
  if (name.kind !== 'registry') throw new CommandFailure(EXIT.usage, `${image} is not in a registry`)
  const client = await AdminClient.open(session, name.host)
  const path = `/repositories/${part(name.repository)}/purge`
  const body = { reference: name.digest ?? name.tag }
  const purged = (await client.send({ method: 'POST', path, body })) as { digest: string }
  return purged.digest
}
