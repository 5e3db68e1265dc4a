// Whom a project tells of what happens in it.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import { collect } from '#cli/commands/admin/allow.ts'
import { against, change, example, type Item, listing } from '#cli/commands/admin/work.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Tools } from '#cli/session.ts'

interface AddOptions {
  readonly format: string
  readonly kind?: readonly string[]
  readonly repository?: string
  readonly header?: readonly string[]
  readonly secretFile?: string
}

export function addWebhooks(admin: Command, tools: Tools): void {
  const webhooks = admin.command('webhooks').description('whom a project tells of what happens in it')
  webhooks
    .command('list')
    .description('list the webhooks of a project')
    .argument('<project>', 'the project')
    .addHelpText('after', example('webhooks list team'))
    .action(against(tools, (project: string) => listing(`/projects/${part(project)}/webhooks`, lineOf)))
  webhooks
    .command('add')
    .description('tell an address of what happens in a project from now on')
    .argument('<project>', 'the project')
    .argument('<name>', 'a name for the webhook')
    .argument('<url>', 'the address; https, unless outbound.allow lists its host')
    .option('--format <format>', 'cloudevents, or registry: the envelope of registry:2', 'cloudevents')
    .option(
      '--kind <kind>',
      'manifest.pushed, tag.deleted ..., may be repeated; pushes and deletes by default',
      collect,
    )
    .option('--repository <pattern>', 'only of these repositories; without it of all of the project')
    .option('--header <name: value>', 'sent with each request, may be repeated', collect)
    .option(
      '--secret-file <file>',
      'a file with the secret that requests are signed with; - for standard input',
    )
    .addHelpText(
      'after',
      example('webhooks add team ci https://ci.example.com/hook --secret-file hook.secret'),
    )
    .action(
      against(
        tools,
        (project: string, name: string, url: string, options: AddOptions) => async (client, session) => {
          const secret = options.secretFile === undefined ? undefined : await secretIn(options.secretFile)
          const body = {
            ...{ name, url, format: options.format },
            ...(options.kind && { kinds: options.kind }),
            repository: options.repository ?? '**',
            headers: headersOf(options.header ?? []),
            ...(secret !== undefined && { secret }),
          }
          const request = { method: 'POST' as const, path: `/projects/${part(project)}/webhooks`, body }
          await change(request, `${url} is told of ${project} from now on; a ping is on its way`)(
            client,
            session,
          )
        },
      ),
    )
  webhooks
    .command('remove')
    .description('delete a webhook, with what it was not told of yet')
    .argument('<project>', 'the project')
    .argument('<name>', 'the webhook')
    .addHelpText('after', example('webhooks remove team ci'))
    .action(
      against(tools, (project: string, name: string) =>
        change(
          { method: 'DELETE', path: `/projects/${part(project)}/webhooks/${part(name)}` },
          `the webhook ${name} of ${project} is deleted`,
        ),
      ),
    )
  webhooks
    .command('ping')
    .description('send a ping; its deliveries say how it went')
    .argument('<project>', 'the project')
    .argument('<name>', 'the webhook')
    .addHelpText('after', example('webhooks ping team ci'))
    .action(
      against(tools, (project: string, name: string) =>
        change(
          { method: 'POST', path: `/projects/${part(project)}/webhooks/${part(name)}/ping`, body: undefined },
          `a ping is on its way: see stowage admin webhooks deliveries ${project} ${name}`,
        ),
      ),
    )
  webhooks
    .command('deliveries')
    .description('list what a webhook is, was or could not be told, newest first')
    .argument('<project>', 'the project')
    .argument('<name>', 'the webhook')
    .option('--state <state>', 'pending, delivered or dead')
    .addHelpText('after', example('webhooks deliveries team ci --state dead'))
    .action(
      against(tools, (project: string, name: string, { state }: { state?: string }) =>
        listing(
          `/projects/${part(project)}/webhooks/${part(name)}/deliveries${state === undefined ? '' : `?state=${part(state)}`}`,
          deliveryLine,
        ),
      ),
    )
  webhooks
    .command('replay')
    .description('try again what was given up: all of it, or one delivery')
    .argument('<project>', 'the project')
    .argument('<name>', 'the webhook')
    .argument('[delivery]', 'its number')
    .addHelpText('after', example('webhooks replay team ci'))
    .action(
      against(
        tools,
        (project: string, name: string, delivery: string | undefined) => async (client, session) => {
          const base = `/projects/${part(project)}/webhooks/${part(name)}`
          const path =
            delivery === undefined ? `${base}/replay` : `${base}/deliveries/${part(delivery)}/replay`
          const done = (await client.send({ method: 'POST', path, body: undefined })) as Item
          session.print(done, () => [`${done['replayed']} are tried again`])
        },
      ),
    )
}

async function secretIn(file: string): Promise<string> {
  const { readFile } = await import('node:fs/promises')
  const text = await readFile(file === '-' ? '/dev/stdin' : file, 'utf8').catch((cause) => {
    throw new CommandFailure(EXIT.usage, `${file} cannot be read`, { cause })
  })
  return text.replace(/\r?\n$/, '')
}

function headersOf(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(line) ?? []
      if (name === undefined)
        throw new CommandFailure(EXIT.usage, `write a header as "Name: value", not ${line}`)
      return [name, value ?? '']
    }),
  )
}

function lineOf(webhook: Item): string {
  const { name, url, format, kinds, repository, headerNames, signed, disabled } = webhook
  return [
    ...[name, url, format, (kinds as string[]).join(' '), repository],
    (headerNames as string[]).length > 0 ? `with ${(headerNames as string[]).join(' ')}` : '',
    signed === true ? 'signed' : '',
    disabled === true ? 'disabled' : '',
  ]
    .filter(Boolean)
    .join('  ')
}

function deliveryLine(delivery: Item): string {
  const { id, state, kind, repository, attempts, createdAt, error, status } = delivery
  return [id, createdAt, state, kind, repository, `${attempts} attempts`, error ?? status ?? '']
    .filter(Boolean)
    .join('  ')
}
