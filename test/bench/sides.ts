// The two registries that are compared, each on an empty folder of its own.
import { spawnSync } from 'node:child_process'
import {
  type RegistryKind,
  removeRegistry,
  type ServerOptions,
  startRegistry,
} from '../processes/registry-server.ts'
import { RegistryClient } from './load/registry-client.ts'
import type { Side } from './scenario.ts'

export async function openSide(name: string, kind: RegistryKind, options: ServerOptions): Promise<Side> {
  const server = await startRegistry(kind, options)
  return { name, server, client: new RegistryClient(server.url) }
}

export async function closeSide(side: Side): Promise<void> {
  await side.client.close()
  await removeRegistry(side.server)
}

/** Opens sides, works with them, and closes them whatever happens. */
export async function withSides<T>(
  opening: readonly (() => Promise<Side>)[],
  work: (...sides: Side[]) => Promise<T>,
): Promise<T> {
  const sides: Side[] = []
  try {
    for (const open of opening) sides.push(await open())
    return await work(...sides)
  } finally {
    for (const side of sides) await closeSide(side)
  }
}

/**
 * Has ext4 put each folder below this one into another part of the disk, as it does with those of the root. Without a journal
 * ext4 steps over inodes that were deleted in the last minutes, one by one, whenever it makes a file: one server would pay for
 * what the other deletes, several times what a push costs. Other file systems do not know the attribute, and need not.
 */
export function spreadFolders(parent: string): void {
  spawnSync('chattr', ['+T', parent], { stdio: 'ignore' })
}
