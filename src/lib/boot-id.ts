// Which run of the system this is.
import { readFile } from 'node:fs/promises'

/** Changes with every start of the machine; empty where the system does not say. */
export async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim()
}
