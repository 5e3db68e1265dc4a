// /healthz: the process lives. /readyz: it can serve. GET / as registry:2 answers it. Answered without the web framework,
// so that a server which is only probed and pulled from never loads that.
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { asOciError, errorReply } from '#http/errors.ts'
import { sendWhole, type WholeReply } from '#http/send.ts'

/** What is wrong now, by the name of the check; empty when all is well. */
export type Readiness = () => Promise<Readonly<Record<string, string>>>

/** An address that is answered with GET and HEAD. */
type Answer = () => Promise<WholeReply>

/** Addresses that are answered here, by their path. */
export class PlainRoutes {
  readonly #answers: ReadonlyMap<string, Answer>
  readonly #headers: OutgoingHttpHeaders

  /** `headers` go on every reply. */
  constructor(answers: ReadonlyMap<string, Answer>, headers: OutgoingHttpHeaders) {
    this.#answers = answers
    this.#headers = headers
  }

  /** False for what is none of its own: another address, another method. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    if (request.method !== 'GET' && request.method !== 'HEAD') return false
    const answer = this.#answers.get(pathOf(request.url ?? ''))
    if (answer) void this.#reply(answer, request, response)
    return answer !== undefined
  }

  async #reply(answer: Answer, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const reply = await answer().catch((error) => errorReply(asOciError(error)))
    if (response.destroyed) return
    const complete = { ...reply, headers: { ...this.#headers, ...reply.headers } }
    sendWhole(response, complete, request.method === 'HEAD')
  }
}

function pathOf(url: string): string {
  const mark = url.indexOf('?')
  return mark < 0 ? url : url.slice(0, mark)
}

export function healthAnswers(prefix: string, readiness: Readiness): Map<string, Answer> {
  const ready = readinessAnswer(readiness)
  return new Map<string, Answer>([
    [prefix, async () => ({ status: 200, headers: { 'Cache-Control': 'no-cache' } })],
    ['/healthz', async () => json(200, { status: 'ok' })],
    ['/readyz', ready],
    ['/debug/health', ready],
  ])
}

/** registry:2's `/debug/health` answers the failing checks as an object, 503 when there are any. */
export function readinessAnswer(readiness: Readiness): Answer {
  return async () => {
    const failing = await readiness()
    return json(Object.keys(failing).length > 0 ? 503 : 200, failing)
  }
}

function json(status: number, value: unknown): WholeReply {
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' },
    body: JSON.stringify(value),
  }
}
