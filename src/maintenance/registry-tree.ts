// Reads a folder that registry:2 wrote, or that we keep in its shape, as it lies there. Writes nothing.
import { opendir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { FilesystemKeys } from '#blobs/filesystem-keys.ts'
import {
  blobPath,
  isBlobFolder,
  isShard,
  layerLink,
  layersFolder,
  REGISTRY_FOLDER,
  repositoryFolder,
  revisionLink,
  revisionsFolder,
  SHA256_FOLDER,
  shardFolder,
  tagCurrentLink,
  tagsFolder,
} from '#blobs/layout.ts'
import { repositoryFolders } from '#maintenance/repository-walk.ts'
import { algorithmOf, type Digest, digestFrom, isDigest } from '#oci/digest.ts'
import { isRepositoryName, isTag, type RepositoryName, type Tag } from '#oci/reference.ts'

const ALGORITHMS = ['sha256', 'sha512'] as const

export interface TreeBlob {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  /** Milliseconds since 1970. */
  readonly modifiedAt: number
}

export class RegistryTree {
  readonly root: string
  readonly #keys: FilesystemKeys

  constructor(root: string) {
    this.root = root
    this.#keys = new FilesystemKeys(root, () => {
      throw new Error('a tree that is only read gets no uploads')
    })
  }

  /** Whether the folder is one of a registry at all. */
  async exists(): Promise<boolean> {
    const found = await stat(join(this.root, REGISTRY_FOLDER)).catch(() => undefined)
    return found?.isDirectory() === true
  }

  async *repositories(): AsyncGenerator<RepositoryName> {
    const failing = {
      onUnread(_: string, error: unknown) {
        throw error
      },
      onLoop() {},
    }
    for await (const { name } of repositoryFolders(this.#keys, failing))
      if (isRepositoryName(name)) yield name
  }

  async *tags(repository: RepositoryName): AsyncGenerator<Tag> {
    const names: string[] = []
    for await (const { name, directory } of this.#keys.list(tagsFolder(repository)))
      if (directory) names.push(name)
    for (const name of names.sort()) if (isTag(name)) yield name
  }

  /** What a tag stands for; undefined when its link is absent or says nothing. */
  tag(repository: RepositoryName, tag: Tag): Promise<Digest | undefined> {
    return this.#link(tagCurrentLink(repository, tag))
  }

  /** Manifests that the repository names, whether or not their bytes are there. */
  revisions(repository: RepositoryName): AsyncGenerator<Digest> {
    return this.#digests(revisionsFolder(repository))
  }

  /** Under which sha256 the bytes of a manifest lie; undefined when the repository does not have it. */
  revision(repository: RepositoryName, digest: Digest): Promise<Digest | undefined> {
    return this.#target(revisionLink(repository, digest), digest)
  }

  layers(repository: RepositoryName): AsyncGenerator<Digest> {
    return this.#digests(layersFolder(repository))
  }

  layer(repository: RepositoryName, digest: Digest): Promise<Digest | undefined> {
    return this.#target(layerLink(repository, digest), digest)
  }

  /** Uploads that were begun in the repository and not ended. */
  async uploads(repository: RepositoryName): Promise<number> {
    let uploads = 0
    for await (const _ of this.#keys.list(`${repositoryFolder(repository)}/_uploads`)) uploads += 1
    return uploads
  }

  async *blobs(): AsyncGenerator<TreeBlob> {
    for await (const shard of this.#keys.list(SHA256_FOLDER)) {
      if (!isShard(shard.name)) continue
      const folder = await opendir(join(this.root, shardFolder(shard.name))).catch(() => undefined)
      for await (const { name } of folder ?? []) {
        if (!isBlobFolder(name, shard.name)) continue
        const digest = digestFrom('sha256', name)
        const found = await this.statBlob(digest)
        if (found) yield { digest, ...found }
      }
    }
  }

  /** @param digest a sha256 */
  async statBlob(
    digest: Digest,
  ): Promise<{ readonly size: number; readonly modifiedAt: number } | undefined> {
    const found = await stat(this.pathOf(digest)).catch(() => undefined)
    return found?.isFile() ? { size: found.size, modifiedAt: Math.floor(found.mtimeMs) } : undefined
  }

  /** The file with the bytes of a sha256. */
  pathOf(digest: Digest): string {
    return join(this.root, blobPath(digest))
  }

  async *#digests(folder: string): AsyncGenerator<Digest> {
    for (const algorithm of ALGORITHMS) {
      for await (const { name, directory } of this.#keys.list(`${folder}/${algorithm}`)) {
        const digest = `${algorithm}:${name}`
        if (directory && isDigest(digest)) yield digest
      }
    }
  }

  /** A link of registry:2 names the digest itself; ours names the sha256 of the bytes, which for sha256 is the same. */
  async #target(path: string, digest: Digest): Promise<Digest | undefined> {
    const target = await this.#link(path)
    if (target === undefined) return undefined
    const bytesAt = algorithmOf(digest) === 'sha256' ? digest : target
    return algorithmOf(bytesAt) === 'sha256' ? bytesAt : undefined
  }

  async #link(path: string): Promise<Digest | undefined> {
    const text = (await this.#keys.get(path))?.trim()
    return text !== undefined && isDigest(text) ? text : undefined
  }
}
