// The HTTP server: a node server of our own that hands /v2/ to its handler, answers health, and hands on everything else.
import {
  createServer as createHttpServer,
  type ServerOptions as HttpServerOptions,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { ServerHttp2Session } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import type { ListenOptions } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { pathBehind } from '#http/address.ts'
import type { Api } from '#http/api/api.ts'
import type { AuthEndpoint } from '#http/auth/auth.ts'
import type { AwaitingContinue } from '#http/body.ts'
import { Connections } from '#http/connections.ts'
import { healthAnswers, PlainRoutes, type Readiness } from '#http/health.ts'
import { SECURITY_HEADERS } from '#http/security-headers.ts'
import type { TlsFiles } from '#http/tls.ts'
import type { TokenEndpoint } from '#http/token.ts'
import type { V2 } from '#http/v2/dispatch.ts'
import { OnDemand } from '#lib/on-demand.ts'

export interface ServerOptions {
  readonly listen: ListenOptions
  /** `http.prefix`, with a slash at both ends. */
  readonly prefix: string
  readonly tls?: { readonly files: TlsFiles; readonly http2: boolean } | undefined
  readonly limits: ServerLimits
  readonly readiness: Readiness
  /** How browsers log in; undefined without users. */
  readonly auth?: AuthEndpoint | undefined
  /** The built-in token server; undefined without one. */
  readonly token?: TokenEndpoint | undefined
  readonly api: Api
}

export interface ServerLimits {
  /** Longest time for the headers of a request, and again for the body of one that is read whole. */
  readonly headerMs: number
  /** How long an idle connection stays open between requests. */
  readonly keepAliveMs: number
  readonly headerBytesMax: number
  readonly connectionsMax: number
}

export interface RunningServer {
  /** Where it listens, as `host:port` or the path of a socket. */
  readonly address: string
  readonly port: number | undefined
  /** Stops accepting, lets transfers finish for at most that long, then cuts what is left. */
  stop(drainMs: number): Promise<void>
  reloadTls(): Promise<void>
}

export async function startServer(
  options: ServerOptions,
  v2: V2,
  awaitingContinue: AwaitingContinue,
): Promise<RunningServer> {
  const { prefix } = options
  const base = `${prefix}v2`
  const node = await createNodeServer(options)
  const connections = new Connections(node, options.tls !== undefined)
  const draining = { on: false }
  const plain = new PlainRoutes(healthAnswers(prefix, options.readiness), SECURITY_HEADERS)
  const rest = new OnDemand(async () => {
    const { openWeb } = await import('#http/web.ts')
    return openWeb(options, awaitingContinue)
  })
  const web = async (request: IncomingMessage, response: ServerResponse) => {
    try {
      await (await rest.get()).handle(request, response)
    } catch (error) {
      response.destroy(error instanceof Error ? error : undefined)
    }
  }
  // Requests for /v2/ never meet Fastify: their bodies are streams, the specification names its own errors, and its objects and
  // routing would cost a manifest GET a tenth.
  const begin: Handler = (request, response) => {
    if (request.httpVersionMajor < 2) {
      connections.began(response)
      if (draining.on) response.setHeader('Connection', 'close')
    }
    const asked = pathBehind(request.url ?? '', base)
    if (asked) void v2.handle(request, response, asked.path, asked.query)
    else if (!plain.handle(request, response)) void web(request, response)
  }
  node.on('request', begin)
  node.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    awaitingContinue.add(request)
    begin(request, response)
  })
  if (options.token || options.auth || options.api.management) await rest.get()
  await listen(node, options.listen)
  const address = node.address()
  return {
    address:
      typeof address === 'string' ? address : address ? `${bracket(address.address)}:${address.port}` : '',
    port: typeof address === 'object' && address ? address.port : undefined,
    async stop(drainMs) {
      draining.on = true
      const closed = new Promise<void>((resolve) => node.close(() => resolve()))
      connections.endIdle()
      const idle = setInterval(() => connections.endIdle(), IDLE_POLL_MS)
      const cut = setTimeout(() => connections.cutAll(), drainMs)
      await closed
      clearInterval(idle)
      clearTimeout(cut)
      await (await rest.made)?.close()
    },
    async reloadTls() {
      const context = await options.tls?.files.read()
      if (context && 'setSecureContext' in node)
        (node as { setSecureContext(c: object): void }).setSecureContext(context)
    },
  }
}

/** How long a connection may outlive its last transfer while we stop. */
const IDLE_POLL_MS = 50

type Handler = (request: IncomingMessage, response: ServerResponse) => void

async function createNodeServer({ limits, tls }: ServerOptions): Promise<Server> {
  const http1 = {
    headersTimeout: limits.headerMs,
    // A body may take hours; what stalls is cut by the transfer watch.
    requestTimeout: 0,
    keepAliveTimeout: limits.keepAliveMs,
    maxHeaderSize: limits.headerBytesMax,
    connectionsCheckingInterval: Math.max(100, Math.min(5_000, limits.headerMs)),
    noDelay: true,
    handshakeTimeout: limits.headerMs,
  }
  const server = tls ? await createTlsServer(tls, http1) : createHttpServer(http1)
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    if (!tls?.files.admits(socket)) socket.destroy()
  })
  // An unused HTTP/2 session ends as an unused connection does; streams that are open may still finish.
  server.on('session', (session: ServerHttp2Session) =>
    session.setTimeout(limits.keepAliveMs, () => session.close()),
  )
  server.headersTimeout = limits.headerMs
  server.requestTimeout = 0
  server.keepAliveTimeout = limits.keepAliveMs
  server.maxConnections = limits.connectionsMax
  return server
}

/** Loaded when it is needed: HTTP/2 brings nine megabytes along. */
async function createTlsServer(
  tls: NonNullable<ServerOptions['tls']>,
  http1: HttpServerOptions,
): Promise<Server> {
  const files = await tls.files.read()
  if (!tls.http2) return createHttpsServer({ ...files, ...http1 })
  const { createSecureServer } = await import('node:http2')
  const settings = {
    initialWindowSize: HTTP2_WINDOW_BYTES,
    maxConcurrentStreams: HTTP2_STREAMS_MAX,
    ...(http1.maxHeaderSize !== undefined && { maxHeaderListSize: http1.maxHeaderSize }),
  }
  return createSecureServer({ ...files, ...http1, allowHTTP1: true, settings }) as unknown as Server
}

/** Windows large enough for uploads over a network with some delay: 64 KiB a round trip would cap them. */
const HTTP2_WINDOW_BYTES = 1024 * 1024
const HTTP2_STREAMS_MAX = 100

function listen(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function bracket(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
