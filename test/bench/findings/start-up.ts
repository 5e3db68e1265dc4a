// How long a registry takes from the start of its process to the first 200.

import type { RegistryKind, RegistryServer } from '../../processes/registry-server.ts'
import { removeRegistry, restartRegistry, startRegistry } from '../../processes/registry-server.ts'
import { median } from '../comparison.ts'
import type { Finding } from './finding.ts'

const STARTS = 5
/** A start that takes longer is an error, not a figure. */
const START_TIMEOUT_MS = 60_000

/** Stops the registry and starts it again, several times. Returns the last one, running, and the median. */
export async function restartTimes(
  server: RegistryServer,
): Promise<{ server: RegistryServer; seconds: number }> {
  const times: number[] = []
  let current = server
  for (let start = 0; start < STARTS; start++) {
    await current.process.stop()
    current = await restartRegistry(current, START_TIMEOUT_MS)
    times.push(current.startMs / 1000)
  }
  return { server: current, seconds: median(times) }
}

export async function measureEmptyStart(kind: RegistryKind, parent: string): Promise<Finding> {
  const times: number[] = []
  for (let start = 0; start < STARTS; start++) {
    const server = await startRegistry(kind, { parent })
    times.push(server.startMs / 1000)
    await removeRegistry(server)
  }
  return {
    title: 'start to first 200, empty store',
    value: median(times),
    unit: 's',
    atMost: 0.7,
    note: `median of ${STARTS} starts`,
  }
}
