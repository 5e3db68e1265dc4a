// A TCP port on loopback that nothing listens on at the moment, and that no outgoing connection takes meanwhile: a server
// that is restarted finds its port free. Linux gives connections ports from 32768 on (ip_local_port_range).
import { createServer } from 'node:net'

const PORT_MIN = 20_000
const PORT_MAX = 32_767
const ATTEMPTS_MAX = 50

export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN + 1))
    if (await isFree(port)) return port
  }
  throw new Error(`${ATTEMPTS_MAX} ports between ${PORT_MIN} and ${PORT_MAX} were all taken`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false)
      else reject(error)
    })
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
