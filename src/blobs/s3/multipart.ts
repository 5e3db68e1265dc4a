// A blob in parts: sent or copied within the bucket, visible only when it is complete.
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { type Bucket, etagOf, PATIENT } from '#blobs/s3/bucket.ts'
import { sumHeaders, toldSum } from '#blobs/s3/checksums.ts'
import { withPayloadHash } from '#blobs/s3/payload-hash.ts'
import { isAbsent } from '#blobs/s3/s3-failure.ts'

export class Multipart {
  readonly #bucket: Bucket
  readonly #path: string
  readonly #uploadId: string
  /** By number, from 1; they come in any order. */
  readonly #etags = new Map<number, string>()
  #size = 0

  private constructor(bucket: Bucket, path: string, uploadId: string) {
    this.#bucket = bucket
    this.#path = path
    this.#uploadId = uploadId
  }

  static async begin(bucket: Bucket, path: string): Promise<Multipart> {
    const input = { ...bucket.at(path), ...bucket.traits, ContentType: 'application/octet-stream' }
    const { UploadId: id } = await bucket.told(`beginning ${path}`, () =>
      bucket.client.send(new CreateMultipartUploadCommand(input)),
    )
    if (id === undefined) throw new Error('a multipart upload began without an id')
    return new Multipart(bucket, path, id)
  }

  get #input() {
    return { ...this.#bucket.at(this.#path), UploadId: this.#uploadId }
  }

  async send(number: number, bytes: Uint8Array): Promise<void> {
    const { client, checksums } = this.#bucket
    const etag = await this.#bucket.told(`writing part ${number} of ${this.#path}`, () =>
      checksums.send(bytes, async (sums) => {
        const query = { partNumber: String(number), uploadId: this.#uploadId }
        const key = this.#bucket.keyOf(this.#path)
        const sent = { method: 'PUT', key, query, headers: sumHeaders(sums), body: bytes } as const
        const told = toldSum(await this.#bucket.wire?.ask(sent))
        if (told) return told
        const input = { ...this.#input, PartNumber: number, ...sums, Body: bytes }
        const reply = await client.send(withPayloadHash(new UploadPartCommand(input)))
        return { crc32: reply.ChecksumCRC32, value: etagOf(reply) }
      }),
    )
    this.#add(number, etag, bytes.length)
  }

  /** Takes a whole object as a part. @throws the SDK's errors of status 404 and 412 when it is not the one that is meant */
  async copy(number: number, from: { path: string; etag: string; size: number }): Promise<void> {
    const source = { CopySource: this.#bucket.sourceOf(from.path), CopySourceIfMatch: from.etag }
    const command = new UploadPartCopyCommand({ ...this.#input, PartNumber: number, ...source })
    const { CopyPartResult: result } = await this.#bucket.client.send(command, PATIENT)
    this.#add(number, etagOf(result ?? {}), from.size)
  }

  #add(number: number, etag: string, size: number): void {
    this.#etags.set(number, etag)
    this.#size += size
  }

  async complete(): Promise<void> {
    const Parts = [...this.#etags]
      .map(([PartNumber, ETag]) => ({ PartNumber, ETag }))
      .sort((one, other) => one.PartNumber - other.PartNumber)
    const command = new CompleteMultipartUploadCommand({ ...this.#input, MultipartUpload: { Parts } })
    await this.#bucket.told(`completing ${this.#path}`, async () => {
      try {
        await this.#bucket.client.send(command, PATIENT)
      } catch (error) {
        // An answer that was lost is asked for again, and the upload is gone by then: the object tells.
        if (!isAbsent(error) || (await this.#bucket.head(this.#path))?.size !== this.#size) throw error
      }
    })
  }

  /** Frees the parts; what fails here is left to the sweeper. */
  async abort(): Promise<void> {
    await abort(this.#bucket, this.#input).catch(() => {})
  }
}

/** Aborts multipart uploads below a folder that began before a time, milliseconds since 1970; how many they were. */
export async function abortMultiparts(bucket: Bucket, folder: string, before: number): Promise<number> {
  let aborted = 0
  let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {}
  while (marker) {
    const command: ListMultipartUploadsCommand = new ListMultipartUploadsCommand({
      Bucket: bucket.name,
      Prefix: bucket.keyOf(`${folder}/`),
      ...(marker.KeyMarker === undefined ? {} : marker),
    })
    const page: ListMultipartUploadsCommandOutput = await bucket.told('listing multipart uploads', () =>
      bucket.client.send(command),
    )
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (!Key || !UploadId || !Initiated || Initiated.getTime() >= before) continue
      await abort(bucket, { Bucket: bucket.name, Key, UploadId })
      aborted += 1
    }
    marker = page.IsTruncated
      ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
      : undefined
  }
  return aborted
}

async function abort(bucket: Bucket, upload: { Bucket: string; Key: string; UploadId: string }) {
  await bucket.ifPresent(`aborting ${upload.Key}`, () =>
    bucket.client.send(new AbortMultipartUploadCommand(upload)),
  )
}
