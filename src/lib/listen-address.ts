// The address to listen on, as Go writes it: `:5000`, `127.0.0.1:5000`, `[::1]:5000`, `localhost:5000`.
import { isIPv6 } from 'node:net'

export interface ListenAddress {
  /** Absent: every address of the machine. */
  readonly host?: string
  /** 0: a free port that the system chooses. */
  readonly port: number
}

const ADDRESS = /^(?:\[(?<six>[^\]]*)\]|(?<host>[A-Za-z0-9._-]*)):(?<port>\d{1,5})$/

/** Undefined when the text is not such an address. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const groups = ADDRESS.exec(text)?.groups
  if (groups === undefined) return undefined
  const port = Number(groups['port'])
  if (port > 65_535) return undefined
  const six = groups['six']
  if (six !== undefined) return isIPv6(six) ? { host: six, port } : undefined
  const host = groups['host'] ?? ''
  return host === '' ? { port } : { host, port }
}
