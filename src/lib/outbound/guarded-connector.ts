// Opens connections only to addresses that the rules let pass. The address that was checked is the one that is connected to:
// a resolver that changes its mind is asked once.
import { type LookupAddress, type LookupOptions, lookup as systemLookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import type { buildConnector } from 'undici'
import { OutboundError } from './outbound-error.ts'
import type { OutboundRules } from './outbound-rules.ts'

/** Names to addresses: `dns.lookup` with `all`. */
export type Resolver = (host: string, options: LookupOptions) => Promise<readonly LookupAddress[]>

export const systemResolver: Resolver = (host, options) =>
  new Promise((resolve, reject) =>
    systemLookup(host, { ...options, all: true }, (error, addresses) =>
      error ? reject(error) : resolve(addresses),
    ),
  )

/** A host with more addresses than that is not asked for further ones. */
const ADDRESSES_MAX = 16

/** For `net.connect` and `tls.connect`, also of other protocols than HTTP. Does not see addresses that need no looking up. */
export function guardedLookup(rules: OutboundRules, resolver: Resolver): LookupFunction {
  return (host, options, done) => {
    resolver(host, { ...options, all: true }).then(
      (found) => {
        const addresses = found.slice(0, ADDRESSES_MAX)
        try {
          if (!rules.allowsHost(host)) for (const { address } of addresses) rules.checkAddress(host, address)
        } catch (error) {
          return done(error as NodeJS.ErrnoException, [])
        }
        const [first] = addresses
        if (!first) return done(new OutboundError('unreachable', host, 'has no address'), [])
        if (options.all) done(null, addresses)
        else done(null, first.address, first.family)
      },
      (error) => done(error, []),
    )
  }
}

/** @param connect made with `guardedLookup` of the same rules */
export function guardedConnector(
  rules: OutboundRules,
  connect: buildConnector.connector,
): buildConnector.connector {
  return (options, done) => {
    try {
      rules.checkHost(options.hostname)
    } catch (error) {
      return done(error as Error, null)
    }
    connect(options, (...[error, socket]) => {
      if (error) return done(error, null)
      // Once more what it is connected to in fact, whichever way the name took.
      try {
        if (!rules.allowsHost(options.hostname))
          rules.checkAddress(options.hostname, socket.remoteAddress ?? '')
      } catch (refusal) {
        socket.destroy()
        return done(refusal as Error, null)
      }
      done(null, socket)
    })
  }
}
