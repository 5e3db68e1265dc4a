// Speaks with the management API of a running registry.
import { CommandFailure, EXIT, type ExitCode } from '#cli/output.ts'
import { parseRegistryAddress } from '#cli/registry-address.ts'
import type { Session } from '#cli/session.ts'
import { headerOf } from '#client/exchange.ts'
import type { RegistryClient } from '#client/registry-client.ts'

const REPLY_BYTES_MAX = 4 * 1024 * 1024
/** Every refusal that the API explains in a problem document. */
const EXPLAINED = [400, 401, 403, 404, 409, 412, 413, 415, 429]
const EXIT_OF: Record<number, ExitCode> = { 401: EXIT.denied, 403: EXIT.denied, 404: EXIT.notFound }

export interface AdminRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Below `/api/v1`, its parts encoded. */
  readonly path: string
  readonly body?: unknown
}

export class AdminClient {
  readonly server: string
  readonly #client: RegistryClient
  readonly #signal: AbortSignal

  private constructor(server: string, client: RegistryClient, signal: AbortSignal) {
    this.server = server
    this.#client = client
    this.#signal = signal
  }

  static async open({ registries, signal }: Session, server: string): Promise<AdminClient> {
    const address = parseRegistryAddress(server)
    return new AdminClient(address.host, await registries.client(address), signal)
  }

  /** The body of the answer; undefined for none. @throws CommandFailure with what the registry said */
  async send({ method, path, body }: AdminRequest): Promise<unknown> {
    return (await this.#send(method, path, body)).value
  }

  /** Every item of a list, whatever its pages. */
  async list(path: string): Promise<Record<string, unknown>[]> {
    const items: Record<string, unknown>[] = []
    for await (const page of this.pages(path)) items.push(...page)
    return items
  }

  /** The items of a list, a page after the other. */
  async *pages(path: string): AsyncGenerator<Record<string, unknown>[]> {
    for (let next: string | undefined = path; next; ) {
      const { value, link } = await this.#send('GET', next, undefined)
      yield (value as { items: Record<string, unknown>[] }).items
      next = link && /<[^>]*\/api\/v1([^>]+)>; rel="next"/.exec(link)?.[1]
    }
  }

  async #send(
    method: AdminRequest['method'],
    path: string,
    body: unknown,
  ): Promise<{ value: unknown; link: string | undefined }> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const reply = await this.#client.send({
      method,
      path: `/api/v1${path}`,
      scopes: [],
      headers: text === undefined ? {} : { 'content-type': 'application/json' },
      body: text === undefined ? undefined : Buffer.from(text),
      expect: [200, 201, 204, ...EXPLAINED],
      bodyBytesMax: REPLY_BYTES_MAX,
      signal: this.#signal,
    })
    if (EXPLAINED.includes(reply.status)) throw this.#failure(reply.status, reply.body)
    const link = headerOf(reply, 'link')
    return { value: reply.body.length === 0 ? undefined : JSON.parse(reply.body.toString('utf8')), link }
  }

  #failure(status: number, body: Buffer): CommandFailure {
    const hint = status === 401 ? `log in with: stowage login ${this.server}` : undefined
    const exit = EXIT_OF[status] ?? EXIT.failed
    try {
      const { detail, findings = [] } = JSON.parse(body.toString('utf8')) as {
        detail: string
        findings?: { path: string; message: string }[]
      }
      const told = [detail, ...findings.map(({ path, message }) => `${path}: ${message}`)].join('\n  ')
      return new CommandFailure(exit, told, { hint })
    } catch {
      return new CommandFailure(
        exit,
        `${this.server} answers ${status} where its management should be: does it run with auth: stowage?`,
        { hint },
      )
    }
  }
}
