// Users out of an htpasswd file, with the passwords that they have.
import { readHtpasswd } from '#access/passwords/htpasswd-file.ts'
import type { Work } from '#cli/commands/admin/work.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import { isUserName, PLAIN_NAME_RULE } from '#identity/account-name.ts'

export interface ImportOptions {
  readonly dryRun?: boolean
}

interface Outcome {
  readonly name: string
  readonly result: 'imported' | 'exists' | 'refused'
  readonly why?: string
}

/** Can be repeated: who is there already, from an earlier run or otherwise, is left alone. */
export function importUsers(file: string, { dryRun = false }: ImportOptions): Work {
  return async (client, session) => {
    const { hashes, ignored } = await readHtpasswd(file)
    const existing = new Set((await client.list('/users')).map(({ name }) => name))
    const outcomes: Outcome[] = ignored.map(({ user: name, why }) => ({ name, result: 'refused', why }))
    for (const [name, passwordHash] of hashes) {
      if (existing.has(name)) outcomes.push({ name, result: 'exists' })
      else if (!isUserName(name))
        outcomes.push({ name, result: 'refused', why: `a user name ${PLAIN_NAME_RULE}` })
      else {
        if (!dryRun) await client.send({ method: 'POST', path: '/users', body: { name, passwordHash } })
        outcomes.push({ name, result: 'imported' })
      }
    }
    session.print(outcomes, () => outcomes.map(lineOf))
    const refused = outcomes.filter(({ result }) => result === 'refused').length
    if (refused > 0) {
      throw new CommandFailure(EXIT.failed, `${refused} of ${outcomes.length} cannot be imported`, {
        hint: 'make them with: stowage admin users add NAME',
      })
    }
  }
}

function lineOf({ name, result, why }: Outcome): string {
  return [name, why === undefined ? result : `${result}: ${why}`].join('  ')
}
