// The HTTP server: Fastify on a node server of our own, one wildcard route for /v2/, health beside it.
import {
  createServer as createHttpServer,
  type ServerOptions as HttpServerOptions,
  type IncomingMessage,
  METHODS,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { ServerHttp2Session } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import type { ListenOptions } from 'node:net'
import type { TLSSocket } from 'node:tls'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import type { AwaitingContinue } from '#http/body.ts'
import { Connections } from '#http/connections.ts'
import { errorReply } from '#http/errors.ts'
import { addHealthRoutes, type Readiness } from '#http/health.ts'
import type { TlsFiles } from '#http/tls.ts'
import type { V2 } from '#http/v2/dispatch.ts'
import { OciError } from '#oci/errors.ts'

export interface ServerOptions {
  readonly listen: ListenOptions
  /** `http.prefix`, with a slash at both ends. */
  readonly prefix: string
  readonly tls?: { readonly files: TlsFiles; readonly http2: boolean } | undefined
  readonly limits: ServerLimits
  readonly readiness: Readiness
}

export interface ServerLimits {
  /** Longest time for the headers of a request. */
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
  const slot: { handle?: (request: IncomingMessage, response: ServerResponse) => void } = {}
  const node = await createNodeServer(options)
  const connections = new Connections(node, options.tls !== undefined)
  const draining = { on: false }
  const begin: Handler = (request, response) => {
    if (request.httpVersionMajor < 2) {
      connections.began(response)
      if (draining.on) response.setHeader('Connection', 'close')
    }
    slot.handle?.(request, response)
  }
  node.on('request', begin)
  node.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    awaitingContinue.add(request)
    begin(request, response)
  })
  const app = Fastify({
    serverFactory: (handler) => {
      slot.handle = handler
      return node
    },
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: options.limits.headerBytesMax, caseSensitive: true },
    frameworkErrors: (_error, _request, reply) =>
      refuse(
        reply as FastifyReply,
        new OciError('NAME_INVALID', { detail: 'the address cannot be decoded' }),
      ),
  })
  app.setNotFoundHandler((_request, reply) => refuse(reply, new OciError('ROUTE_UNKNOWN')))
  addV2(app, prefix, v2)
  addHealthRoutes(app, prefix, options.readiness)
  await app.ready()
  // Fastify's handler would write its refusal into a reply that is under way; Node's own does not.
  node.removeAllListeners('clientError')
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
      await app.close()
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

function refuse(reply: FastifyReply, error: OciError): void {
  const { status, headers, body } = errorReply(error)
  // As bytes: to text Fastify would add a charset, which the media type does not have.
  void reply
    .code(status)
    .headers(headers as Record<string, string>)
    .send(Buffer.from(String(body)))
}

/** Everything below /v2/ bypasses Fastify's body parsing: bodies are streams, and the specification names its own errors. */
function addV2(app: FastifyInstance, prefix: string, v2: V2): void {
  const base = `${prefix}v2`
  // A method that Fastify does not know of itself is refused by our own rules too: 405 and what is allowed.
  for (const method of METHODS) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  app.register(async (scope) => {
    scope.addHook('onRequest', (request, reply) => {
      reply.hijack()
      const url = request.raw.url ?? ''
      const mark = url.indexOf('?')
      const path = mark < 0 ? url : url.slice(0, mark)
      void v2.handle(request.raw, reply.raw, path.slice(base.length + 1), mark < 0 ? '' : url.slice(mark + 1))
    })
    for (const url of [base, `${base}/`, `${base}/*`]) {
      scope.route({ method: [...app.supportedMethods], url, handler: async () => {} })
    }
  })
}

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
