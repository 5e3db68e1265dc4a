// What belongs to an object from its birth: as the SDK takes it, and as headers.
import type { S3Options } from '#blobs/s3/s3-options.ts'

export type ObjectTraits = ReturnType<typeof traitsOf>

export function traitsOf({ acl, storageClass, encryption }: S3Options) {
  return {
    ...(acl === undefined ? {} : { ACL: acl as 'private' }),
    ...(storageClass === undefined ? {} : { StorageClass: storageClass as 'STANDARD' }),
    ...(encryption === undefined
      ? {}
      : encryption.kmsKeyId === undefined
        ? { ServerSideEncryption: 'AES256' as const }
        : { ServerSideEncryption: 'aws:kms' as const, SSEKMSKeyId: encryption.kmsKeyId }),
  }
}

export function traitHeaders({ acl, storageClass, encryption }: S3Options): Record<string, string> {
  return {
    ...(acl === undefined ? {} : { 'x-amz-acl': acl }),
    ...(storageClass === undefined ? {} : { 'x-amz-storage-class': storageClass }),
    ...(encryption === undefined ? {} : encryptionHeaders(encryption)),
  }
}

function encryptionHeaders({ kmsKeyId }: NonNullable<S3Options['encryption']>): Record<string, string> {
  if (kmsKeyId === undefined) return { 'x-amz-server-side-encryption': 'AES256' }
  return {
    'x-amz-server-side-encryption': 'aws:kms',
    'x-amz-server-side-encryption-aws-kms-key-id': kmsKeyId,
  }
}
