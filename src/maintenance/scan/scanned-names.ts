import type { Scanning } from '#blobs/keys.ts'
import { REPOSITORIES_FOLDER } from '#blobs/layout.ts'
import type { FoundFolder } from '#maintenance/repository-walk.ts'

const HOLDER = /^(.+?)\/_(layers|manifests)\//

/** Folders that hold `_layers` or `_manifests`, by one scan of the whole tree: all paths of one stand together. */
export async function* scannedNames(keys: Scanning, signal: AbortSignal): AsyncGenerator<FoundFolder> {
  let found: { name: string; layers: boolean; manifests: boolean } | undefined
  for await (const { path } of keys.scan(REPOSITORIES_FOLDER)) {
    signal.throwIfAborted()
    const [, name, what] = HOLDER.exec(path.slice(REPOSITORIES_FOLDER.length + 1)) ?? []
    if (name === undefined) continue
    if (found && found.name !== name) yield found
    if (found?.name !== name) found = { name, layers: false, manifests: false }
    if (what === 'layers') found.layers = true
    else found.manifests = true
  }
  if (found) yield found
}
