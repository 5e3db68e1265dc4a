// `stowage restore`, `history` and `rollback`: what a running registry keeps of what was deleted or moved.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import type { Item, Work } from '#cli/commands/admin/work.ts'
import { shortDigest, table } from '#cli/figures.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import { type Session, type Tools, withSession } from '#cli/session.ts'

export function addHistoryCommands(program: Command, tools: Tools): void {
  program
    .command('restore')
    .description('bring back a deleted tag or manifest, or list what can be brought back')
    .argument('<image>', 'repository:tag, repository@digest, or a repository alone for the list')
    .addHelpText(
      'after',
      `
Deleted images can be restored for a week, or as storage.delete.window says.

Examples:
  stowage restore localhost:5000/app
  stowage restore localhost:5000/app:1.0`,
    )
    .action(onImage(tools, restore))
  program
    .command('history')
    .description('show what a tag pointed at, newest first')
    .argument('<image>', 'repository:tag')
    .addHelpText('after', '\nExample:\n  stowage history localhost:5000/app:stable')
    .action(onImage(tools, history))
  program
    .command('rollback')
    .description('point a tag at what it pointed at before')
    .argument('<image>', 'repository:tag; with @digest to that entry of its history')
    .addHelpText(
      'after',
      `
Without a digest it goes back to the last one that was another. Immutable tags stay where they are.

Examples:
  stowage rollback localhost:5000/app:stable
  stowage rollback localhost:5000/app:stable@sha256:6c3c…`,
    )
    .action(onImage(tools, rollBack))
}

interface Image {
  readonly repository: string
  readonly tag: string | undefined
  readonly digest: string | undefined
}

function onImage(tools: Tools, work: (image: Image) => Work) {
  return async (text: string, _options: unknown, command: Command) => {
    await withSession(command, tools, async (session) => {
      const { parseImageText } = await import('#cli/image-text.ts')
      const { AdminClient } = await import('#cli/admin-client.ts')
      const { name } = parseImageText(text)
      if (name.kind !== 'registry')
        throw new CommandFailure(EXIT.usage, `${text} is not in a registry: write host/repository[:tag]`)
      const client = await AdminClient.open(session, name.host)
      const image = { repository: name.repository, tag: name.tag, digest: name.digest }
      await work(image)(client, session)
    })
  }
}

function tagOf({ tag }: Image): string {
  if (tag === undefined) throw new CommandFailure(EXIT.usage, 'name a tag: repository:tag')
  return tag
}

const restore =
  ({ repository, tag, digest }: Image): Work =>
  async (client, session) => {
    const base = `/repositories/${part(repository)}`
    if (tag === undefined && digest === undefined) {
      const [tags, manifests] = [
        await client.list(`${base}/deleted-tags`),
        await client.list(`${base}/deleted`),
      ]
      session.print({ tags, manifests }, () =>
        table([
          ...tags.map((item) => deletedRow(item, `${repository}:${item['tag']}`)),
          ...manifests.map((item) => deletedRow(item, `${repository}@${item['digest']}`)),
        ]),
      )
      return
    }
    const body = digest === undefined ? { tag } : { digest }
    const restored = (await client.send({ method: 'POST', path: `${base}/restore`, body })) as Item
    sayPlace(session, repository, restored)
  }

function deletedRow(item: Item, name: string): string[] {
  return [name, String(item['deletedAt']), String(item['deletedBy'] ?? '')]
}

const history =
  (image: Image): Work =>
  async (client, session) => {
    const tag = tagOf(image)
    const items = await client.list(`/repositories/${part(image.repository)}/tags/${part(tag)}/history`)
    session.print(items, () =>
      table(
        items.map((item) => [
          String(item['at']),
          String(item['event']),
          String(item['digest']),
          String(item['state']),
          String(item['actor'] ?? ''),
        ]),
      ),
    )
  }

const rollBack =
  (image: Image): Work =>
  async (client, session) => {
    const tag = tagOf(image)
    const path = `/repositories/${part(image.repository)}/tags/${part(tag)}/rollback`
    const body = image.digest === undefined ? {} : { digest: image.digest }
    sayPlace(session, image.repository, (await client.send({ method: 'POST', path, body })) as Item)
  }

function sayPlace(session: Session, repository: string, restored: Item): void {
  session.print(restored, () => {
    const { digest, tags } = restored as { digest: string; tags: readonly string[] }
    const names = tags.length > 0 ? tags.map((tag) => `${repository}:${tag}`) : [`${repository}@${digest}`]
    return names.map((name) => `${name} is ${shortDigest(digest)} now`)
  })
}
