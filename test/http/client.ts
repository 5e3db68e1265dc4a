// A client that sends what it is told: paths as they are written, bodies with or without a length, on a connection of choice.
import { once } from 'node:events'
import { Agent, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { Readable } from 'node:stream'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** Bytes are sent with a length, pieces as chunks without one. */
  readonly body?: Buffer | string | AsyncIterable<Buffer> | readonly Buffer[] | undefined
  readonly agent?: Agent
}

export interface Target {
  readonly port: number
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends one request and collects the whole answer. */
export async function send(
  target: Target,
  method: string,
  path: string,
  options: RequestOptions = {},
): Promise<Answer> {
  const outgoing = begin(target, method, path, options)
  const incoming = once(outgoing, 'response') as Promise<[IncomingMessage]>
  const { body } = options
  if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) outgoing.end(body)
  else writeAll(outgoing, Readable.from(body))
  const [response] = await incoming
  return collect(response)
}

/** Opens a request that the caller writes and ends. */
export function begin(
  { port, headers: common }: Target,
  method: string,
  path: string,
  { headers = {}, body, agent }: RequestOptions = {},
): ClientRequest {
  const length =
    typeof body === 'string' || Buffer.isBuffer(body) ? { 'Content-Length': Buffer.byteLength(body) } : {}
  const outgoing = request({
    host: '127.0.0.1',
    port,
    method,
    path,
    headers: { ...length, ...common, ...headers } as Record<string, string | string[]>,
    agent: agent ?? new Agent({ keepAlive: false }),
  })
  // An answer before the end of the body may be followed by a reset: who waits for the answer has it by then.
  outgoing.on('error', () => {})
  return outgoing
}

export async function responseTo(outgoing: ClientRequest): Promise<IncomingMessage> {
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  return response
}

export async function collect(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }
}

/** Ends quietly when the server stops reading. */
function writeAll(outgoing: ClientRequest, body: Readable): void {
  outgoing.on('close', () => body.destroy())
  body.on('error', () => outgoing.destroy())
  body.pipe(outgoing)
}

export function json(answer: Answer): unknown {
  return JSON.parse(answer.body.toString('utf8'))
}

export interface ErrorEntry {
  readonly code: string
  readonly message: string
  readonly detail?: unknown
}

/** The one error of the specification's envelope. */
export function errorOf(answer: Answer): ErrorEntry {
  const { errors } = json(answer) as { errors: ErrorEntry[] }
  const [first] = errors
  if (!first || errors.length !== 1) throw new Error(`not one error: ${answer.body}`)
  return first
}

/** `404 BLOB_UNKNOWN`: what a table of refusals compares. */
export function refusalOf(answer: Answer): string {
  return `${answer.status} ${errorOf(answer).code}`
}

/** Splits a path and query off what a Location or Link header says. */
export function locationOf(answer: Answer): string {
  const location = answer.headers.location
  if (location === undefined) throw new Error(`no Location in a ${answer.status}: ${answer.body}`)
  return location
}
