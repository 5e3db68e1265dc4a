import type { KeyChange } from '#blobs/keys.ts'

/** The changes in groups whose order within does not matter: no path of a group is another's, or lies below it. */
export function* wavesOf(changes: readonly KeyChange[]): Generator<KeyChange[]> {
  let wave: KeyChange[] = []
  let paths = new Set<string>()
  /** Folders above the paths of the wave: who removes one must wait for them. */
  let above = new Set<string>()
  for (const change of changes) {
    const parents = foldersAbove(change.path)
    if (paths.has(change.path) || above.has(change.path) || parents.some((folder) => paths.has(folder))) {
      yield wave
      wave = []
      paths = new Set()
      above = new Set()
    }
    wave.push(change)
    paths.add(change.path)
    for (const folder of parents) above.add(folder)
  }
  if (wave.length > 0) yield wave
}

function foldersAbove(path: string): string[] {
  const folders: string[] = []
  for (let cut = path.lastIndexOf('/'); cut > 0; cut = path.lastIndexOf('/', cut - 1))
    folders.push(path.slice(0, cut))
  return folders
}
