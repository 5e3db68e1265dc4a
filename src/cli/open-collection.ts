// Opens what `sync` and `export` name: a registry, a folder of layouts, or the data folder of a registry.
import { stat } from 'node:fs/promises'
import { CommandFailure, EXIT } from '#cli/output.ts'
import { parseRegistryAddress } from '#cli/registry-address.ts'
import type { Session } from '#cli/session.ts'
import {
  LayoutTree,
  type ReadableCollection,
  RegistryCollection,
  type WritableCollection,
} from '#client/collection.ts'
import { RegistryTree } from '#maintenance/registry-tree.ts'
import { TreeCollection } from '#maintenance/tree-place.ts'

export async function openReadable(session: Session, text: string): Promise<ReadableCollection> {
  const folder = folderOf(text)
  if (folder === undefined) return await openRegistry(session, text, false)
  const tree = new RegistryTree(folder)
  if (await tree.exists()) return new TreeCollection(tree)
  const found = await stat(folder).catch(() => undefined)
  if (!found?.isDirectory())
    throw new CommandFailure(EXIT.notFound, `there is no folder ${folder}`, {
      hint: 'a registry is named by host[:port] or its URL, a folder by a path that begins with ./ or /',
    })
  return new LayoutTree(folder)
}

export async function openWritable(session: Session, text: string): Promise<WritableCollection> {
  const folder = folderOf(text)
  if (folder === undefined) return await openRegistry(session, text, true)
  if (await new RegistryTree(folder).exists()) {
    throw new CommandFailure(EXIT.usage, `${folder} is the data folder of a registry`, {
      hint: 'start the registry on it and name its address',
    })
  }
  return new LayoutTree(folder)
}

/** A path begins as one, or says `oci:`. */
function folderOf(text: string): string | undefined {
  if (text.startsWith('oci:')) return text.slice('oci:'.length)
  return /^(?:\.{0,2}\/|\.{1,2}$)/.test(text) ? text : undefined
}

async function openRegistry(session: Session, text: string, push: boolean): Promise<RegistryCollection> {
  const client = await session.registries.client(parseRegistryAddress(text))
  return new RegistryCollection(client, { push })
}
