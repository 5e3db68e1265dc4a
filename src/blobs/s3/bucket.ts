// Objects of one bucket, as few calls as the stores need. Paths are below the configured root folder.
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { Checksums, sumHeaders, toldSum } from '#blobs/s3/checksums.ts'
import { deleteMany } from '#blobs/s3/delete-many.ts'
import { type ObjectTraits, traitHeaders, traitsOf } from '#blobs/s3/object-traits.ts'
import { withPayloadHash } from '#blobs/s3/payload-hash.ts'
import { MOVED_MS_MAX } from '#blobs/s3/s3-client.ts'
import { isAbsent, s3Failure } from '#blobs/s3/s3-failure.ts'
import type { S3Options } from '#blobs/s3/s3-options.ts'
import type { Body } from '#blobs/s3/wire/reply-body.ts'
import type { Wire } from '#blobs/s3/wire/wire.ts'
import type { DirectHead } from '#lib/direct-connection.ts'

export interface ObjectStat {
  readonly size: number
  /** Milliseconds since 1970, whole seconds: some answers of S3 have no more. */
  readonly modifiedAt: number
  /** Changes with every write. */
  readonly etag: string
}

export interface ListedObject extends ObjectStat {
  readonly path: string
}

export interface OpenObject extends ObjectStat {
  readonly body: Body
}

export interface GetOptions {
  /** From the first byte to the one before `end`. */
  readonly range?: { readonly start: number; readonly end: number }
  /** Only this version of the object. */
  readonly etag?: string
}

export class Bucket {
  readonly client: S3Client
  readonly name: string
  readonly checksums = new Checksums()
  readonly traits: ObjectTraits
  /** The way of the hot requests; where it gives no answer the SDK is asked. */
  readonly wire: Wire | undefined
  readonly #traitHeaders: Readonly<Record<string, string>>
  readonly #prefix: string

  constructor(client: S3Client, options: S3Options, wire?: Wire) {
    this.client = client
    this.wire = wire
    this.name = options.bucket
    this.traits = traitsOf(options)
    this.#traitHeaders = traitHeaders(options)
    this.#prefix = options.root === '' ? '' : `${options.root}/`
  }

  keyOf(path: string): string {
    return `${this.#prefix}${path}`
  }

  /** Undefined when the key is not below our root. */
  pathOf(key: string): string | undefined {
    return key.startsWith(this.#prefix) ? key.slice(this.#prefix.length) : undefined
  }

  /** What a request names an object by. */
  at(path: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.name, Key: this.keyOf(path) }
  }

  /** `bucket/key` as a copy names its source. */
  sourceOf(path: string): string {
    return `${this.name}/${this.keyOf(path)}`.split('/').map(encodeURIComponent).join('/')
  }

  /** @throws what the SDK says when the bucket cannot be reached, does not exist, or is not ours to use */
  async probe(): Promise<void> {
    await this.client.send(new HeadBucketCommand({ Bucket: this.name }))
  }

  async head(path: string): Promise<ObjectStat | undefined> {
    const reply = await this.wire?.ask({ method: 'HEAD', key: this.keyOf(path) })
    if (reply) return reply.status === 404 ? undefined : statOf(statHeaders(reply))
    return this.ifPresent(`looking at ${path}`, async () =>
      statOf(await this.client.send(new HeadObjectCommand(this.at(path)))),
    )
  }

  /** The body must be read to its end or destroyed. @throws the SDK's error of status 412 when the etag differs */
  async get(path: string, { range, etag }: GetOptions = {}): Promise<OpenObject | undefined> {
    const headers = {
      ...(range ? { range: `bytes=${range.start}-${range.end - 1}` } : {}),
      ...(etag === undefined ? {} : { 'if-match': etag }),
    }
    const answer = await this.wire?.open({ method: 'GET', key: this.keyOf(path), headers })
    if (answer) return { ...statOf(statHeaders(answer)), body: answer.body }
    const command = new GetObjectCommand({
      ...this.at(path),
      ...(range ? { Range: `bytes=${range.start}-${range.end - 1}` } : {}),
      ...(etag === undefined ? {} : { IfMatch: etag }),
    })
    return this.ifPresent(`reading ${path}`, async () => {
      const reply = await this.client.send(command)
      if (!reply.Body) throw new Error('the answer has no body')
      return { ...statOf(reply), body: reply.Body as Body & object }
    })
  }

  /** Bytes whose sha256 is known: the server compares it before the object exists. Resolves to the etag. */
  async putHashed(path: string, bytes: Uint8Array, sha256Hex: string): Promise<string> {
    const headers = { ...this.#traitHeaders, 'content-type': OCTETS }
    const sent = {
      method: 'PUT',
      key: this.keyOf(path),
      headers,
      body: bytes,
      payloadHash: sha256Hex,
    } as const
    const etag = (await this.wire?.ask(sent))?.headers['etag']
    if (etag !== undefined) return etag
    const command = withPayloadHash(
      new PutObjectCommand({ ...this.at(path), ...this.traits, Body: bytes, ContentType: OCTETS }),
      sha256Hex,
    )
    return this.told(`writing ${path}`, async () => etagOf(await this.client.send(command)))
  }

  /** Bytes that a cheaper checksum guards on their way. Resolves to the etag. */
  async put(path: string, bytes: Uint8Array): Promise<string> {
    return this.told(`writing ${path}`, () =>
      this.checksums.send(bytes, async (sums) => {
        const headers = { ...this.#traitHeaders, ...sumHeaders(sums), 'content-type': OCTETS }
        const sent = { method: 'PUT', key: this.keyOf(path), headers, body: bytes } as const
        const told = toldSum(await this.wire?.ask(sent))
        if (told) return told
        const input = { ...this.at(path), ...this.traits, ...sums, Body: bytes, ContentType: OCTETS }
        const reply = await this.client.send(withPayloadHash(new PutObjectCommand(input)))
        return { crc32: reply.ChecksumCRC32, value: etagOf(reply) }
      }),
    )
  }

  /** Absent is fine. */
  async delete(path: string): Promise<void> {
    if (await this.wire?.ask({ method: 'DELETE', key: this.keyOf(path) })) return
    await this.ifPresent(`deleting ${path}`, () => this.client.send(new DeleteObjectCommand(this.at(path))))
  }

  async deleteAll(paths: readonly string[]): Promise<void> {
    const [only] = paths
    if (paths.length === 1 && only !== undefined) return this.delete(only)
    await this.told('deleting objects', () => deleteMany(this, paths))
  }

  /** Within the bucket, without its bytes passing through us; at most 5 GiB. @throws the SDK's error of status 412 */
  async copy(from: string, etag: string, to: string): Promise<void> {
    const source = { CopySource: this.sourceOf(from), CopySourceIfMatch: etag }
    await this.told(`copying ${from}`, () =>
      this.client.send(new CopyObjectCommand({ ...this.at(to), ...this.traits, ...source }), PATIENT),
    )
  }

  /** Every object whose path begins so, in the order of their paths. */
  async *list(prefix: string): AsyncGenerator<ListedObject> {
    for await (const page of this.#pages(prefix, undefined)) yield* page.objects
  }

  /** The direct children of a folder, which ends in a slash. */
  async *children(folder: string): AsyncGenerator<{ readonly name: string; readonly directory: boolean }> {
    for await (const { objects, folders } of this.#pages(folder, '/')) {
      for (const { path } of objects)
        if (path !== folder) yield { name: path.slice(folder.length), directory: false }
      for (const path of folders) yield { name: path.slice(folder.length, -1), directory: true }
    }
  }

  async *#pages(prefix: string, delimiter: string | undefined) {
    let token: string | undefined
    do {
      const command = new ListObjectsV2Command({
        Bucket: this.name,
        Prefix: this.keyOf(prefix),
        ...(delimiter === undefined ? {} : { Delimiter: delimiter }),
        ...(token === undefined ? {} : { ContinuationToken: token }),
      })
      const page = await this.told(`listing ${prefix}`, () => this.client.send(command))
      const objects: ListedObject[] = []
      for (const entry of page.Contents ?? []) {
        const path = entry.Key === undefined ? undefined : this.pathOf(entry.Key)
        if (path !== undefined) objects.push({ path, ...statOf({ ...entry, ContentLength: entry.Size }) })
      }
      const folders: string[] = []
      for (const { Prefix } of page.CommonPrefixes ?? []) {
        const path = Prefix === undefined ? undefined : this.pathOf(Prefix)
        if (path !== undefined) folders.push(path)
      }
      yield { objects, folders }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined
    } while (token !== undefined)
  }

  /** Runs a request; what is wrong with S3 is told as OciError, and preconditions that did not hold as they are. */
  async told<T>(what: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      throw s3Failure(error, what)
    }
  }

  /** The same, and undefined when there is no such object. */
  async ifPresent<T>(what: string, run: () => Promise<T>): Promise<T | undefined> {
    return this.told(what, async () => {
      try {
        return await run()
      } catch (error) {
        if (isAbsent(error)) return undefined
        throw error
      }
    })
  }
}

/** For requests whose answer waits until the server has moved the bytes. */
export const PATIENT = { requestTimeout: MOVED_MS_MAX }
const OCTETS = 'application/octet-stream'

function statHeaders({ headers }: DirectHead) {
  return {
    ContentLength: Number(headers['content-length'] ?? 0),
    LastModified: new Date(headers['last-modified'] ?? 0),
    ETag: headers['etag'],
  }
}

function statOf(reply: {
  readonly ContentLength?: number | undefined
  readonly LastModified?: Date | undefined
  readonly ETag?: string | undefined
}): ObjectStat {
  const seconds = Math.floor((reply.LastModified?.getTime() ?? 0) / 1000)
  return { size: reply.ContentLength ?? 0, modifiedAt: seconds * 1000, etag: reply.ETag ?? '' }
}

export function etagOf({ ETag: etag }: { readonly ETag?: string | undefined }): string {
  if (etag === undefined) throw new Error('the answer has no ETag')
  return etag
}
