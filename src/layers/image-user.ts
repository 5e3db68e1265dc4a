// Who the process of an image is: "user", "user:group", numbers or names, looked up in the image's own files.
// It decides as runc's libcontainer/user.GetExecUser does.
import { LayerError, printable } from '#layers/layer-error.ts'

export interface ProcessUser {
  readonly uid: number
  readonly gid: number
  /** Groups that list the user, when the image names no group itself. */
  readonly additionalGids: readonly number[]
  /** Of passwd, where it has the user. */
  readonly home: string | undefined
}

interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
}

interface Group {
  readonly name: string
  readonly gid: number
  readonly members: readonly string[]
}

function idOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^[0-9]{1,10}$/.test(text)) return undefined
  const id = Number(text)
  return id <= 0x7f_ff_ff_ff ? id : undefined
}

function rows(text: string): string[][] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'))
}

function accountsOf(passwd: string): Account[] {
  return rows(passwd).flatMap(([name, , uidText, gidText, , home]) => {
    const uid = idOf(uidText)
    const gid = idOf(gidText)
    if (!name || uid === undefined || gid === undefined) return []
    return [{ name, uid, gid, home: home ?? '' }]
  })
}

function groupsOf(group: string): Group[] {
  return rows(group).flatMap(([name, , gidText, members]) => {
    const gid = idOf(gidText)
    if (!name || gid === undefined) return []
    return [{ name, gid, members: (members ?? '').split(',').map((member) => member.trim()) }]
  })
}

function unknown(what: string, name: string, file: string): LayerError {
  return new LayerError(
    'USER_UNKNOWN',
    `the image runs as ${what} ${printable(name)}, but its ${file} has none`,
    {
      detail: { [what]: printable(name) },
    },
  )
}

/**
 * @param spec `config.User`; "" means root
 * @param passwd the text of the image's /etc/passwd, "" where it has none; likewise group
 * @throws LayerError USER_UNKNOWN for a name that is not there; a number need not be there
 */
export function findUser(spec: string, passwd: string, group: string): ProcessUser {
  const [userText = '', groupText = ''] = spec.split(':')
  const userId = userText === '' ? 0 : idOf(userText)
  const account = accountsOf(passwd).find(({ name, uid }) => name === userText || uid === userId)
  const uid = account?.uid ?? userId
  if (uid === undefined) throw unknown('user', userText, '/etc/passwd')
  const groups = groupsOf(group)
  const home = account?.home
  if (groupText !== '') {
    const groupId = idOf(groupText)
    const gid = groups.find((one) => one.name === groupText || one.gid === groupId)?.gid ?? groupId
    if (gid === undefined) throw unknown('group', groupText, '/etc/group')
    return { uid, gid, additionalGids: [], home }
  }
  const member = account?.name ?? userText
  const listed = groups
    .filter(({ members }) => member !== '' && members.includes(member))
    .map(({ gid }) => gid)
  return { uid, gid: account?.gid ?? 0, additionalGids: listed, home }
}
