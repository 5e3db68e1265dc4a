// Whether this process can do its work, and what an operator wants to be looked at besides.
import type { Config } from '#config/schema.ts'
import { accepts, answers, fileIsAbsent, type HealthCheck } from '#maintenance/health-checks.ts'
import { digestOf } from '#oci/digest.ts'
import type { Registry } from '#registry/registry.ts'

/** Some digest, present or not: asking for it shows that the store answers. */
const PROBE = digestOf('')

/** What must work for any request: the database and the store. */
export async function ownFaults({ db, storage }: Registry): Promise<Record<string, string>> {
  const faults: Record<string, string> = {}
  // A transaction that does nothing: it also fails where reads would succeed.
  await db
    .transaction(async () => {}, { durable: false, mayUseReserve: true })
    .catch((error) => {
      faults['database'] = String(error)
    })
  await storage.stat(PROBE).catch((error) => {
    faults['storage'] = String(error)
  })
  return faults
}

export function healthChecksOf({ health, storage: driver }: Config, { storage }: Registry): HealthCheck[] {
  const { storagedriver, file, http, tcp } = health
  const checks: HealthCheck[] = []
  if (storagedriver.enabled) {
    const name = `storagedriver_${driver.filesystem ? 'filesystem' : driver.s3 ? 's3' : 'inmemory'}`
    const { intervalMs: everyMs, threshold } = storagedriver
    checks.push({ name, everyMs, threshold, run: async () => void (await storage.stat(PROBE)) })
  }
  for (const { file: path = '', intervalMs: everyMs, threshold } of file) {
    checks.push({ name: path, everyMs, threshold, run: () => fileIsAbsent(path) })
  }
  for (const { uri = '', statuscode: status, timeoutMs, headers, intervalMs: everyMs, threshold } of http) {
    const sent = new Map(Object.entries(headers).map(([name, values]) => [name, values.join(', ')]))
    const run = () => answers(uri, { status, timeoutMs, headers: sent })
    checks.push({ name: uri, everyMs, threshold, run })
  }
  for (const { addr = '', timeoutMs, intervalMs: everyMs, threshold } of tcp) {
    checks.push({ name: addr, everyMs, threshold, run: () => accepts(addr, timeoutMs) })
  }
  return checks
}
