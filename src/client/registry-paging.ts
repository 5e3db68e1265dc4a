// Walks a list that comes in pages with Link rel="next": tags, the catalog, referrers.
import { ClientError } from '#client/client-error.ts'
import { headerOf } from '#client/exchange.ts'
import type { RegistryClient, RegistryReply } from '#client/registry-client.ts'
import { isObject } from '#oci/parse-descriptor.ts'

export interface PagedRequest {
  readonly client: RegistryClient
  readonly path: string
  readonly scopes: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
  /** Statuses that end the list without an error, besides 200. */
  readonly endAt: readonly number[]
  readonly signal: AbortSignal | undefined
}

const PAGE_BYTES_MAX = 8 * 1024 * 1024
const PAGES_MAX = 100_000

/** Yields the JSON of each page. */
export async function* pages(
  request: PagedRequest,
): AsyncGenerator<{ readonly reply: RegistryReply; readonly value: Record<string, unknown> }> {
  let path: string | URL = request.path
  const seen = new Set<string>()
  while (seen.size < PAGES_MAX) {
    const reply: RegistryReply = await request.client.send({
      method: 'GET',
      path,
      scopes: request.scopes,
      headers: { accept: 'application/json', ...request.headers },
      expect: [200, ...request.endAt],
      bodyBytesMax: PAGE_BYTES_MAX,
      signal: request.signal,
    })
    if (reply.status !== 200) return
    yield { reply, value: readObject(reply) }
    const next = nextPage(reply)
    if (next === undefined) return
    if (next.origin !== reply.url.origin || seen.has(next.href)) {
      throw new ClientError('refused', 'the list goes on at another host, or in a circle', {
        request: { method: 'GET', url: next },
      })
    }
    seen.add(next.href)
    path = next
  }
}

function readObject(reply: RegistryReply): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(reply.body.toString('utf8'))
    if (isObject(value)) return value
  } catch {
    // Said below: a login page is no list either.
  }
  throw new ClientError('refused', 'answered with something that is no JSON object', {
    request: { method: 'GET', url: reply.url },
    status: reply.status,
    hint: 'check that this address is that of a registry',
  })
}

/** RFC 8288: `<URL>; rel="next"`, perhaps among others. */
export function nextPage(reply: Pick<RegistryReply, 'headers' | 'url'>): URL | undefined {
  for (const match of (headerOf(reply, 'link') ?? '').matchAll(/<([^>]*)>([^<]*)/g)) {
    if (/;\s*rel\s*=\s*"?(?:[^"]*\s)?next(?:\s[^"]*)?"?\s*(?:[;,]|$)/i.test(match[2] ?? '')) {
      return URL.parse(match[1] ?? '', reply.url.href) ?? undefined
    }
  }
  return undefined
}
