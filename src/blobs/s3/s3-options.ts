// How a bucket is reached and what is asked of it: registry:2's `storage.s3`, parsed.

export interface S3Options {
  readonly bucket: string
  readonly region: string
  /** `https://host[:port]`; undefined: AWS itself. */
  readonly endpoint: string | undefined
  /** Where clients are sent for bytes, when they reach the bucket by another address than we do. */
  readonly redirectEndpoint: string | undefined
  /** `https://host/bucket/key` instead of `https://bucket.host/key`. */
  readonly pathStyle: boolean
  /** What stands before every key: '' or a path without slashes at its ends. */
  readonly root: string
  /** Undefined: environment, shared files, container or instance, as every program of AWS finds them. */
  readonly credentials:
    | {
        readonly accessKeyId: string
        readonly secretAccessKey: string
        readonly sessionToken?: string | undefined
      }
    | undefined
  readonly encryption: { readonly kmsKeyId: string | undefined } | undefined
  readonly storageClass: string | undefined
  readonly acl: string | undefined
  readonly userAgent: string | undefined
  readonly dualStack: boolean
  readonly accelerate: boolean
  readonly fips: boolean
  readonly verifyTls: boolean
  /** Bytes of one part of an upload, at least 5 MiB: what S3 takes. Memory per upload is three times this. */
  readonly partBytes: number
  /** Parts that one commit copies at the same time. */
  readonly copiesAtOnce: number
}
