// bcrypt in libuv's pool, with the prefixes that htpasswd files have.
import bcrypt from 'bcrypt'

/** Whether a password belongs to a hash. `$2y$` is the name that Apache gives to what others call `$2b$`. */
export function verifyPassword(password: string, hashed: string): Promise<boolean> {
  return bcrypt.compare(password, hashed.replace(/^\$2y\$/, '$2b$'))
}

/** A hash with the prefix that Apache's htpasswd and registry:2 know. */
export async function hashPassword(password: string, cost: number): Promise<string> {
  return (await bcrypt.hash(password, cost)).replace(/^\$2b\$/, '$2y$')
}

/** The cost of a hash that verifyPassword would accept; Infinity where it would accept none. */
export function costOf(hashed: string): number {
  const cost = Number(/^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(hashed)?.[1])
  return cost >= 4 && cost <= 31 ? cost : Number.POSITIVE_INFINITY
}
