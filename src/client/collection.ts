// Many repositories together: a registry, or a folder with one OCI layout for each of its repositories.
import { link, mkdir, opendir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { absent } from '#client/layout-index.ts'
import { blobPath, isWhole } from '#client/layout-ingest.ts'
import { LayoutPlace } from '#client/layout-place.ts'
import type {
  BlobContent,
  CallOptions,
  Mounting,
  PushBlobOptions,
  PushOutcome,
  ReadablePlace,
  Referring,
  TagListing,
  WritablePlace,
} from '#client/place.ts'
import type { RegistryClient } from '#client/registry-client.ts'
import { listRepositories, RegistryPlace } from '#client/registry-place.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { isRepositoryName, type RepositoryName } from '#oci/reference.ts'

export type RepositoryPlace = ReadablePlace & TagListing & Referring

export interface ReadableCollection {
  readonly label: string
  repositories(options?: CallOptions): AsyncIterable<RepositoryName>
  /** The repository may be absent: then it has no tags. */
  place(repository: RepositoryName): RepositoryPlace
}

export interface WritableCollection extends ReadableCollection {
  place(repository: RepositoryName): RepositoryPlace & WritablePlace & Mounting
}

export class RegistryCollection implements WritableCollection {
  readonly label: string
  readonly #client: RegistryClient
  readonly #push: boolean

  constructor(client: RegistryClient, { push }: { readonly push: boolean }) {
    this.label = client.host
    this.#client = client
    this.#push = push
  }

  repositories(options?: CallOptions): AsyncIterable<RepositoryName> {
    return listRepositories(this.#client, options)
  }

  place(repository: RepositoryName): RegistryPlace {
    return new RegistryPlace({ client: this.#client, repository, push: this.#push })
  }
}

/** A name has at most 255 characters, so at most this many parts. */
const DEPTH_MAX = 128

/** `<folder>/<repository>/` is an OCI image layout: what other tools read one by one, and zot serves as a whole. */
export class LayoutTree implements WritableCollection {
  readonly label: string
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
    this.label = `folder ${folder}`
  }

  async *repositories(): AsyncGenerator<RepositoryName> {
    const waiting: string[][] = [[]]
    for (let parts = waiting.pop(); parts; parts = waiting.pop()) {
      const folder = join(this.#folder, ...parts)
      const isLayout =
        parts.length > 0 && (await stat(join(folder, 'oci-layout')).catch(absent)) !== undefined
      const name = parts.join('/')
      if (isLayout && isRepositoryName(name)) yield name
      const below: string[] = []
      const entries = await opendir(folder).catch(absent)
      for await (const entry of entries ?? []) {
        // The blobs of a layout are many, and no repositories.
        if (entry.isDirectory() && !(isLayout && entry.name === 'blobs')) below.push(entry.name)
      }
      if (parts.length < DEPTH_MAX) for (const next of below.sort().reverse()) waiting.push([...parts, next])
    }
  }

  place(repository: RepositoryName): TreeLayout {
    return new TreeLayout(this.#folder, repository)
  }
}

/** One repository of such a folder. A blob that another repository of it has is linked, where the file system can. */
export class TreeLayout extends LayoutPlace implements Mounting {
  /** The folder as a whole: two that are equal link from each other. */
  readonly registry: string
  readonly repository: RepositoryName

  constructor(root: string, repository: RepositoryName) {
    super(join(root, repository))
    this.registry = root
    this.repository = repository
  }

  override async pushBlob(
    descriptor: Descriptor,
    content: BlobContent,
    options: PushBlobOptions = {},
  ): Promise<PushOutcome> {
    const { mountFrom } = options
    if (mountFrom !== undefined && (await this.#link(descriptor, mountFrom))) return 'mounted'
    return await super.pushBlob(descriptor, content, options)
  }

  async #link(descriptor: Descriptor, from: RepositoryName): Promise<boolean> {
    const there = blobPath(join(this.registry, from), descriptor.digest)
    if (!(await isWhole(there, descriptor))) return false
    const here = blobPath(join(this.registry, this.repository), descriptor.digest)
    await mkdir(dirname(here), { recursive: true })
    try {
      await link(there, here)
      return true
    } catch (error) {
      // Already here, another file system, or one without links: the usual way knows what to do.
      const { code } = error as NodeJS.ErrnoException
      if (
        code === 'EEXIST' ||
        code === 'EXDEV' ||
        code === 'EPERM' ||
        code === 'ENOTSUP' ||
        code === 'EMLINK'
      )
        return false
      throw error
    }
  }
}
