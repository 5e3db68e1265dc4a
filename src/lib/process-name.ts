// Names one life of a process, so that others can tell whether it is over without waiting for a lease to run out.
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'

/** `<host>/<pid>/<random>` */
export function newProcessName(): string {
  return `${hostname()}/${process.pid}/${randomUUID()}`
}

/** True when that life is certainly over, as far as this host can tell; of other hosts nothing is known. */
export function isGone(name: string): boolean {
  const [host, pid] = name.split('/')
  if (host !== hostname() || !/^\d+$/.test(pid ?? '')) return false
  // Another name of our own number was given before us: a container's first process always has the same.
  if (Number(pid) === process.pid) return true
  try {
    process.kill(Number(pid), 0)
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH'
  }
}
