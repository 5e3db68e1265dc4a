// Sends a blob in one of the ways that clients have, and remembers what it needs to go on after the server was killed.
import { setTimeout as sleep } from 'node:timers/promises'
import { OCTET_STREAM } from '#oci/media-types.ts'
import { type Answer, locationOf, type RequestOptions } from '../../http/client.ts'
import type { Content } from '../../http/content.ts'
import type { SeededRandom } from '../random.ts'

export type Ask = (method: string, path: string, options?: RequestOptions) => Promise<Answer>

/** A session that the registry has opened for us. */
export interface Session {
  readonly repository: string
  readonly content: Content
  /** Where the next request goes. */
  path: string
  /** Bytes that the registry said it has. */
  acknowledged: number
  /** Bytes that we may have sent. */
  sent: number
  /** The closing request was sent, and not answered. */
  closing: boolean
}

export class Unexpected extends Error {
  override readonly name = 'Unexpected'
  constructor(what: string, answer: Answer) {
    super(`${what} was answered ${answer.status} ${answer.body.toString('utf8', 0, 300)}`)
  }
}

export function expecting(answer: Answer, statuses: readonly number[], what: string): Answer {
  if (!statuses.includes(answer.status)) throw new Unexpected(what, answer)
  return answer
}

export async function openSession(ask: Ask, repository: string, content: Content): Promise<Session> {
  const answer = await ask('POST', `/v2/${repository}/blobs/uploads/`)
  expecting(answer, [202], 'opening an upload')
  return { repository, content, path: locationOf(answer), acknowledged: 0, sent: 0, closing: false }
}

/** Sends the next `size` bytes. */
export async function patch(ask: Ask, session: Session, size: number, random: SeededRandom): Promise<void> {
  const start = session.acknowledged
  const bytes = session.content.bytes.subarray(start, start + size)
  session.sent = start + bytes.length
  const headers: Record<string, string> = { 'Content-Type': OCTET_STREAM }
  if (random.chance(0.5)) headers['Content-Range'] = `${start}-${session.sent - 1}`
  const body = random.chance(0.3) ? slowly(bytes, random) : bytes
  const answer = expecting(await ask('PATCH', session.path, { headers, body }), [202], 'a chunk')
  session.path = locationOf(answer)
  session.acknowledged = session.sent
}

/** Sends what is left with the closing request. */
export async function close(ask: Ask, session: Session): Promise<void> {
  const { content, path, acknowledged } = session
  session.sent = content.bytes.length
  session.closing = true
  const answer = await ask('PUT', `${path}${path.includes('?') ? '&' : '?'}digest=${content.digest}`, {
    headers: { 'Content-Type': OCTET_STREAM },
    body: content.bytes.subarray(acknowledged),
  })
  expecting(answer, [201], 'closing an upload')
}

/** Bytes in pieces without a length, so that a kill finds the server in the middle of them. */
async function* slowly(bytes: Buffer, random: SeededRandom): AsyncGenerator<Buffer> {
  const size = Math.ceil(bytes.length / random.between(2, 5))
  for (let start = 0; start < bytes.length; start += size) {
    yield bytes.subarray(start, start + size)
    await sleep(random.between(1, 30))
  }
}
