// The guarded way out as a `fetch`, for libraries that bring their own requests.
import type { Outbound, Plain } from './outbound.ts'

export interface FetchLimits {
  readonly bytesMax: number
  readonly timeoutMs: number
  readonly plain?: Plain
}

interface FetchInit {
  readonly method?: string
  readonly headers?: ConstructorParameters<typeof Headers>[0]
  readonly body?: unknown
  readonly signal?: AbortSignal | null | undefined
}

/** Redirects come back as replies; bodies are text or bytes. @throws OutboundError */
export function outboundFetch(outbound: Outbound, limits: FetchLimits) {
  return async (url: string | URL, init: FetchInit = {}): Promise<Response> => {
    const { method = 'GET', body } = init
    if (method !== 'GET' && method !== 'POST') throw new TypeError(`${method} is not sent to other hosts`)
    const reply = await outbound.send({
      ...limits,
      url,
      method,
      headers: Object.fromEntries(new Headers(init.headers)),
      ...(body !== undefined && body !== null && { body: body instanceof Uint8Array ? body : String(body) }),
      signal: init.signal ?? undefined,
    })
    const headers = new Headers()
    for (const [name, value] of Object.entries(reply.headers))
      for (const one of [value ?? []].flat()) headers.append(name, one)
    const isEmpty = reply.status === 204 || reply.status === 304
    return new Response(isEmpty ? null : new Uint8Array(reply.body), { status: reply.status, headers })
  }
}
