// The two registries on one S3 gateway, each in a bucket of its own.
import { join } from 'node:path'
import type { RegistryKind } from '../../processes/registry-server.ts'
import type { S3Gateway } from '../../processes/s3-gateway.ts'
import type { Side } from '../scenario.ts'
import { openSide } from '../sides.ts'

export async function openS3Side(
  kind: RegistryKind,
  gateway: S3Gateway,
  bucket: string,
  parent: string,
): Promise<Side> {
  const storage = {
    s3: gateway.storageConfig(bucket),
    delete: { enabled: true },
    redirect: { disable: true },
  }
  const database = { path: join(parent, `${bucket}-facts`, 'registry.sqlite') }
  const config = kind === 'stowage' ? { storage, database } : { storage }
  const side = await openSide(kind, kind, { parent, config })
  return { ...side, server: { ...side.server, store: join(gateway.folder, bucket) } }
}
