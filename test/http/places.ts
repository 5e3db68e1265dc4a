// Where a server may keep its blobs: tests of what must be the same everywhere run in each place.
import { gatewayIsMissing, S3Gateway } from '../processes/s3-gateway.ts'
import { type ServerSetup, startServer, type TestServer } from './server.ts'

export interface Place {
  readonly name: 'memory' | 'a folder' | 'a bucket'
  /** Why it cannot be tried here. */
  readonly skip: string | false
  /** A server in a place of its own, and how to be rid of both. */
  start(setup?: ServerSetup): Promise<{ server: TestServer; stop: () => Promise<void> }>
}

export const MEMORY: Place = {
  name: 'memory',
  skip: false,
  start: (setup) => started(setup),
}

export const FOLDER: Place = {
  name: 'a folder',
  skip: false,
  start: (setup) => started({ ...setup, onDisk: true }),
}

/** Served through the server: redirects are turned off, unless the setup says otherwise. */
export const BUCKET: Place = {
  name: 'a bucket',
  skip: gatewayIsMissing() ?? false,
  async start(setup) {
    const gateway = await S3Gateway.start()
    try {
      const { server, stop } = await started({ ...setup, s3: gateway.storageConfig(gateway.newBucket()) })
      return { server, stop: () => stop().finally(() => gateway.stop()) }
    } catch (error) {
      await gateway.stop()
      throw error
    }
  },
}

async function started(setup: ServerSetup = {}) {
  const server = await startServer(setup)
  return { server, stop: () => server[Symbol.asyncDispose]() }
}
