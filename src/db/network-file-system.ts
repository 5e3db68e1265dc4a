// SQLite's write-ahead log needs shared memory and locks that network file systems do not give.
import { statfs } from 'node:fs/promises'

/** Numbers of statfs(2), `f_type`. */
const NETWORK_TYPES: Readonly<Record<number, string>> = {
  26985: 'NFS',
  20859: 'SMB',
  4283649346: 'CIFS',
  4266872130: 'SMB2',
  16914839: '9p',
  12805120: 'CephFS',
  1397113167: 'AFS',
  198183888: 'Lustre',
  1196443219: 'GPFS',
  1952539503: 'OCFS2',
  18225520: 'GFS2',
}

/** The name of the network file system that a folder lies on, undefined for a local one. */
export async function networkFileSystem(
  folder: string,
  typeOf: (folder: string) => Promise<number> = async (path) => (await statfs(path)).type,
): Promise<string | undefined> {
  return NETWORK_TYPES[(await typeOf(folder)) >>> 0]
}

/** @throws Error with a sentence for the operator */
export async function refuseNetworkFileSystem(
  folder: string,
  typeOf?: (folder: string) => Promise<number>,
): Promise<void> {
  const name = await networkFileSystem(folder, typeOf)
  if (name === undefined) return
  throw new Error(
    `${folder} lies on a network file system (${name}), on which SQLite loses data: set database.path ` +
      '(REGISTRY_DATABASE_PATH) to a file on a local disk; the blobs may stay where they are',
  )
}
