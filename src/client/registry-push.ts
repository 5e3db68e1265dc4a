// Writes to one repository: blobs by mount, by one request, or by an upload that goes on where it broke; then manifests.
import { ClientError, isClientError } from '#client/client-error.ts'
import { headerOf, type StreamBody, type WireReply } from '#client/exchange.ts'
import type { BlobContent, PushBlobOptions, PushOutcome } from '#client/place.ts'
import type { PushHabits } from '#client/push-habits.ts'
import { type RegistryReply, unwrapBodyFailure } from '#client/registry-client.ts'
import { nameOf, type RepositoryAccess } from '#client/registry-pull.ts'
import type { Retries } from '#client/retry.ts'
import { repositoryScope } from '#client/scope.ts'
import type { ByteSource } from '#lib/byte-source.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { algorithmOf } from '#oci/digest.ts'
import type { RepositoryName } from '#oci/reference.ts'

/**
 * Up to this size a blob goes in the one PUT that closes an upload. Not in the POST that opens it: a registry that does not
 * take it there, as distribution, lets the bytes come and asks for them again.
 */
const WHOLE_PUT_BYTES_MAX = 4 * 1024 * 1024
/** Where a proxy refuses large bodies, chunks of this size pass nearly everywhere. */
const SMALL_CHUNK_BYTES = 32 * 1024 * 1024
const PROGRESS_BYTES_MIN = 256 * 1024
const CANCEL_TIMEOUT_MS = 5_000

interface Upload {
  readonly url: URL
  /** Bytes that the registry has. */
  readonly offset: number
  /** OCI-Chunk-Min-Length: no chunk but the last may be shorter. */
  readonly chunkBytesMin: number
}

export async function pushBlob(
  access: RepositoryAccess,
  descriptor: Descriptor,
  content: BlobContent,
  options: PushBlobOptions,
): Promise<PushOutcome> {
  const pushing = new BlobPush(access, descriptor, content, options.signal)
  return await pushing.run(options.mountFrom)
}

class BlobPush {
  readonly #access: RepositoryAccess
  readonly #habits: PushHabits
  readonly #descriptor: Descriptor
  readonly #content: BlobContent
  readonly #signal: AbortSignal | undefined
  readonly #retries: Retries
  #zeroMeansOne = false

  constructor(
    access: RepositoryAccess,
    descriptor: Descriptor,
    content: BlobContent,
    signal: AbortSignal | undefined,
  ) {
    this.#access = access
    this.#habits = access.client.pushHabits
    this.#descriptor = descriptor
    this.#content = content
    this.#signal = signal
    this.#retries = access.client.retries()
  }

  async run(mountFrom: RepositoryName | undefined): Promise<PushOutcome> {
    let upload: Upload | undefined
    if (mountFrom !== undefined && mountFrom !== this.#access.repository) {
      upload = await this.#mount(mountFrom)
      if (!upload) return 'mounted'
    }
    for (;;) {
      const open: Upload = upload ?? (await this.#open())
      try {
        await this.#fill(open)
        return 'copied'
      } catch (error) {
        upload = undefined
        const cause = unwrapBodyFailure(error)
        // An upload that the registry has forgotten begins anew; for everything else it is not left lying about.
        if (!isClientError(cause, 'not-found')) await this.#cancel(open)
        if (cause !== error) throw cause
        await this.#retries.after(isClientError(cause, 'not-found') ? lostUpload(cause) : cause, this.#signal)
      }
    }
  }

  /** Undefined when it was mounted; otherwise the upload that the registry opened instead. */
  async #mount(from: RepositoryName): Promise<Upload | undefined> {
    const scopes = [...this.#scopes(), repositoryScope(from, 'pull')]
    const query = new URLSearchParams({ mount: this.#descriptor.digest, from })
    try {
      const reply = await this.#post(query, scopes, [201, 202])
      return reply.status === 201 ? undefined : this.#uploadOf(reply, 0)
    } catch (error) {
      // No right to read the other repository is no reason not to push to this one.
      if (!isClientError(error, 'unauthorized', 'denied', 'not-found', 'refused')) throw error
      return await this.#open()
    }
  }

  async #open(): Promise<Upload> {
    const query = new URLSearchParams()
    const algorithm = algorithmOf(this.#descriptor.digest)
    if (algorithm !== 'sha256') query.set('digest-algorithm', algorithm)
    return this.#uploadOf(await this.#post(query, this.#scopes(), [202]), 0)
  }

  async #post(
    query: URLSearchParams,
    scopes: readonly string[],
    expect: readonly number[],
  ): Promise<RegistryReply> {
    const text = query.size > 0 ? `?${query}` : ''
    return await this.#access.client.send({
      method: 'POST',
      path: `/v2/${this.#access.repository}/blobs/uploads/${text}`,
      scopes,
      expect,
      signal: this.#signal,
    })
  }

  /** Brings the upload to its end, going on where it breaks for as long as it makes progress. */
  async #fill(start: Upload): Promise<void> {
    const { size } = this.#descriptor
    if (start.offset === 0 && size <= Math.min(WHOLE_PUT_BYTES_MAX, this.#habits.chunkBytesMax)) {
      await this.#close(start, this.#bodyFrom(0, size))
      return
    }
    let upload = start
    let progressAt = 0
    while (upload.offset < size) {
      try {
        upload = await this.#sendChunk(upload)
      } catch (error) {
        if (isClientError(error, 'limit') && this.#habits.chunkBytesMax > SMALL_CHUNK_BYTES) {
          this.#habits.chunkBytesMax = SMALL_CHUNK_BYTES
        } else if (!(isClientError(error) && error.status === 416)) {
          if (unwrapBodyFailure(error) !== error) throw error
          await this.#retries.after(error, this.#signal)
        } else {
          await this.#retries.after(outOfStep(error), this.#signal)
          // Refused at 0 although it reports 0-0: then it holds that one byte.
          this.#zeroMeansOne = upload.offset === 0
        }
        upload = await this.#status(upload)
      }
      if (upload.offset - progressAt >= PROGRESS_BYTES_MIN) {
        progressAt = upload.offset
        this.#retries.progressed()
      }
    }
    await this.#close(upload, undefined)
  }

  async #sendChunk(upload: Upload): Promise<Upload> {
    const { size } = this.#descriptor
    const chunkBytes = Math.max(this.#habits.chunkBytesMax, upload.chunkBytesMin)
    const end = Math.min(size, upload.offset + chunkBytes)
    // The first chunk of all goes without a Content-Range when it is the whole blob: as docker does it, so every
    // registry takes it.
    const whole = upload.offset === 0 && end === size
    const reply = await this.#access.client.send({
      method: 'PATCH',
      path: upload.url,
      scopes: this.#scopes(),
      headers: {
        'content-type': 'application/octet-stream',
        ...(whole ? {} : { 'content-range': `${upload.offset}-${end - 1}` }),
      },
      body: this.#bodyFrom(upload.offset, end),
      bulk: true,
      expect: [202, 201, 204],
      retry: false,
      signal: this.#signal,
    })
    return this.#uploadOf(reply, end, upload)
  }

  async #status(upload: Upload): Promise<Upload> {
    const reply = await this.#access.client.send({
      method: 'GET',
      path: upload.url,
      scopes: this.#scopes(),
      expect: [204, 200, 202],
      signal: this.#signal,
    })
    return this.#uploadOf(reply, 0, upload)
  }

  async #close(upload: Upload, body: StreamBody | undefined): Promise<void> {
    const url = new URL(upload.url)
    url.searchParams.set('digest', this.#descriptor.digest)
    try {
      await this.#access.client.send({
        method: 'PUT',
        path: url,
        scopes: this.#scopes(),
        headers: body ? { 'content-type': 'application/octet-stream' } : {},
        body,
        expect: [201, 204],
        retry: body === undefined,
        signal: this.#signal,
      })
    } catch (error) {
      // A PUT that is sent again because its answer was lost finds the upload gone, and the blob there.
      if (!isClientError(error, 'not-found') || !(await this.#isThere())) throw error
    }
  }

  async #isThere(): Promise<boolean> {
    const reply = await this.#access.client.send({
      method: 'HEAD',
      path: `/v2/${this.#access.repository}/blobs/${this.#descriptor.digest}`,
      scopes: this.#scopes(),
      expect: [200, 404],
      signal: this.#signal,
    })
    return reply.status === 200
  }

  /** Best effort: the registry sweeps what is left. It must not hide why the push failed, nor take long. */
  async #cancel(upload: Upload): Promise<void> {
    try {
      await this.#access.client.send({
        method: 'DELETE',
        path: upload.url,
        scopes: this.#scopes(),
        expect: [204, 202, 200, 404, 405],
        retry: false,
        signal: AbortSignal.timeout(CANCEL_TIMEOUT_MS),
      })
    } catch {
      // The upload expires by itself.
    }
  }

  #bodyFrom(start: number, end: number): StreamBody {
    const { size } = this.#descriptor
    return {
      size: end - start,
      // What starts at the beginning is verified while it is sent; what goes on in the middle is verified by the registry.
      open: () => {
        const source = start === 0 ? this.#content.whole() : this.#content.from(start)
        return end === size ? source : until(source, end - start)
      },
    }
  }

  #uploadOf(reply: WireReply, offset: number, before?: Upload): Upload {
    const location = headerOf(reply, 'location')
    const url = location === undefined ? before?.url : secured(URL.parse(location, reply.url.href), reply.url)
    if (!url) {
      throw new ClientError('refused', `${nameOf(this.#access)} opened an upload without saying where`)
    }
    const range = /^(?:bytes=)?0-(\d+)$/.exec(headerOf(reply, 'range') ?? '')
    // `0-0` stands for nothing at all as well as for one byte: nothing is the safe reading, as a 416 corrects it.
    const reported = range ? (range[1] === '0' && !this.#zeroMeansOne ? 0 : Number(range[1]) + 1) : undefined
    const least = Number(headerOf(reply, 'oci-chunk-min-length') ?? before?.chunkBytesMin ?? 0)
    return {
      url,
      offset: Math.min(reported ?? offset, this.#descriptor.size),
      chunkBytesMin: Number.isSafeInteger(least) ? least : 0,
    }
  }

  #scopes(): string[] {
    return [repositoryScope(this.#access.repository, 'pull', 'push')]
  }
}

/** The first bytes of a source, after which it is stopped. */
function until(source: ByteSource, bytes: number): ByteSource {
  const enough = new Error('enough')
  return async (sink) => {
    let left = bytes
    try {
      await source((chunk) => {
        const part = chunk.byteLength > left ? chunk.subarray(0, left) : chunk
        left -= part.byteLength
        const waiting = sink(part)
        if (left > 0) return waiting
        return Promise.resolve(waiting).then(() => {
          throw enough
        })
      })
    } catch (error) {
      if (error !== enough) throw error
    }
  }
}

/**
 * A registry behind a proxy that ends TLS often says http:// of itself: that means the same host in HTTPS.
 * @throws ClientError unsafe for plain HTTP anywhere else
 */
function secured(location: URL | null, from: URL): URL | undefined {
  if (location === null || from.protocol !== 'https:' || location.protocol === 'https:')
    return location ?? undefined
  if (location.protocol === 'http:' && location.hostname === from.hostname) {
    return new URL(`${location.pathname}${location.search}`, from)
  }
  throw new ClientError('unsafe', `sends an upload from HTTPS to ${location.protocol}//${location.host}`, {
    request: { method: 'POST', url: from },
  })
}

function lostUpload(cause: ClientError): ClientError {
  return new ClientError('server', `the registry lost the upload: ${cause.message}`, {
    cause,
    code: cause.code,
  })
}

function outOfStep(cause: ClientError): ClientError {
  return new ClientError('server', `the registry holds another offset: ${cause.message}`, {
    cause,
    status: 416,
  })
}
