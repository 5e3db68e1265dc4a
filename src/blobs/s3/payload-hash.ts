// What a request says of its body. The SDK would hash every body once more to sign it; ours are hashed already, or guarded
// by a checksum that costs less.

interface Signable {
  readonly middlewareStack: {
    add(
      middleware: (next: (args: { request: unknown }) => Promise<never>) => typeof next,
      options: { readonly step: 'build'; readonly name: string },
    ): void
  }
}

const HEADER = 'x-amz-content-sha256'

/** The sha256 in hex, which the server then checks; without it the body is not part of the signature. */
export function withPayloadHash<C extends object>(command: C, sha256Hex = 'UNSIGNED-PAYLOAD'): C {
  const { middlewareStack } = command as C & Signable
  middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> }
      headers[HEADER] = sha256Hex
      return next(args)
    },
    { step: 'build', name: 'payloadHash' },
  )
  return command
}
