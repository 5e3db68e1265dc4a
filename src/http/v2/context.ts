// What a handler gets: the parsed request, who asks, and the collaborators.
import type { IncomingMessage } from 'node:http'
import type { RateLimits } from '#access/rates/rate-limits.ts'
import type { Links } from '#http/links.ts'
import type { Route } from '#http/v2/route.ts'
import type { Caller } from '#identity/caller.ts'
import type { Readable } from '#identity/readable.ts'
import type { ByteSource } from '#lib/byte-source.ts'
import type { Registry } from '#registry/registry.ts'

export interface Context {
  readonly registry: Registry
  readonly links: Links
  readonly request: IncomingMessage
  readonly route: Route
  readonly query: URLSearchParams
  readonly caller: Caller
  readonly body: ByteSource
  /** Undefined where nobody is limited. */
  readonly limits: RateLimits | undefined
  /** Where a mount may take a blob from. */
  readonly mountSources: () => Promise<Readable>
  /** What a list of repositories shows. */
  readonly listed: () => Promise<Readable>
  /** Runs after the reply, with the bytes that went out; for read events. */
  afterReply: ((sent: number, durationMs: number) => void) | undefined
  /** What the access log tells of the content. */
  digest: string | undefined
  /** Bytes that the client fetches from the store itself. */
  sentElsewhere: number
}
