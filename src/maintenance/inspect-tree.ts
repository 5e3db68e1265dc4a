// What a folder of registry:2 holds and what is broken in it, told before anybody takes it over. Writes nothing.
import { readFile } from 'node:fs/promises'
import { REPOSITORIES_FOLDER } from '#blobs/layout.ts'
import { factsOfForeign } from '#maintenance/foreign-manifest.ts'
import type { RegistryTree } from '#maintenance/registry-tree.ts'
import { algorithmOf, type Digest, digestOf, isDigest } from '#oci/digest.ts'
import type { RepositoryName, Tag } from '#oci/reference.ts'

const MANIFEST_BYTES_MAX = 8 * 1024 * 1024
/** Of each list of the report: the counts go on. */
export const LISTED_MAX = 1000
/** `sha256-<hex>` is the referrers tag schema; with an ending it is cosign's. */
const ATTACHED_TAG = /^(sha256|sha512)-([0-9a-f]{64,128})(?:\.(sig|att|sbom))?$/

export interface Flaw {
  readonly what: string
  /** Below the folder. */
  readonly where: string
}

export interface AttachedTag {
  readonly repository: RepositoryName
  readonly tag: Tag
  readonly kind: 'signature' | 'attestation' | 'sbom' | 'referrers'
  readonly subject: Digest
  /** Whether the repository has what it is attached to. */
  readonly subjectPresent: boolean
}

export interface TreeInspection {
  readonly repositories: number
  readonly tags: number
  readonly manifests: number
  /** Links from repositories to layers and configs. */
  readonly layerLinks: number
  readonly blobs: number
  /** Of all blobs. */
  readonly bytes: number
  /** Blobs that no repository names: what registry:2's garbage collection would take. */
  readonly unreferenced: { readonly blobs: number; readonly bytes: number }
  /** Uploads that were begun and never ended; they are not taken over. */
  readonly unfinishedUploads: number
  /** Manifests with a subject, which the referrers API will list. */
  readonly referrers: number
  readonly danglingCount: number
  /** Links to what is not there; they are answered with 404. At most LISTED_MAX. */
  readonly dangling: readonly Flaw[]
  readonly corruptCount: number
  /** Bytes that are not what they are named: every manifest is hashed, a blob is measured. At most LISTED_MAX. */
  readonly corrupt: readonly Flaw[]
  readonly attachedCount: number
  readonly attached: readonly AttachedTag[]
}

export interface InspectOptions {
  readonly signal?: AbortSignal | undefined
  readonly onRepository?: ((name: RepositoryName, repositories: number) => void) | undefined
}

export async function inspectTree(tree: RegistryTree, options: InspectOptions = {}): Promise<TreeInspection> {
  return await new Inspection(tree, options).run()
}

class Inspection {
  readonly #tree: RegistryTree
  readonly #options: InspectOptions
  readonly #counts = {
    repositories: 0,
    tags: 0,
    manifests: 0,
    layerLinks: 0,
    unfinishedUploads: 0,
    referrers: 0,
  }
  readonly #dangling: Flaw[] = []
  readonly #corrupt: Flaw[] = []
  readonly #attached: AttachedTag[] = []
  #danglingCount = 0
  #corruptCount = 0
  #attachedCount = 0
  /** Every blob, with its size, and whether a repository names it. */
  readonly #blobs = new Map<Digest, { readonly size: number; named: boolean }>()

  constructor(tree: RegistryTree, options: InspectOptions) {
    this.#tree = tree
    this.#options = options
  }

  async run(): Promise<TreeInspection> {
    for await (const { digest, size } of this.#tree.blobs()) {
      this.#options.signal?.throwIfAborted()
      this.#blobs.set(digest, { size, named: false })
    }
    for await (const repository of this.#tree.repositories()) {
      this.#counts.repositories += 1
      this.#options.onRepository?.(repository, this.#counts.repositories)
      await this.#repository(repository)
    }
    let bytes = 0
    const unreferenced = { blobs: 0, bytes: 0 }
    for (const { size, named } of this.#blobs.values()) {
      bytes += size
      if (named) continue
      unreferenced.blobs += 1
      unreferenced.bytes += size
    }
    return {
      ...this.#counts,
      blobs: this.#blobs.size,
      bytes,
      unreferenced,
      danglingCount: this.#danglingCount,
      dangling: this.#dangling,
      corruptCount: this.#corruptCount,
      corrupt: this.#corrupt,
      attachedCount: this.#attachedCount,
      attached: this.#attached,
    }
  }

  async #repository(name: RepositoryName): Promise<void> {
    const { signal } = this.#options
    const where = `${REPOSITORIES_FOLDER}/${name}`
    this.#counts.unfinishedUploads += await this.#tree.uploads(name)
    for await (const digest of this.#tree.layers(name)) {
      signal?.throwIfAborted()
      this.#counts.layerLinks += 1
      const target = await this.#tree.layer(name, digest)
      if (!this.#name(target)) this.#dangle(`layer ${digest} has no bytes`, `${where}/_layers`)
    }
    for await (const digest of this.#tree.revisions(name)) {
      signal?.throwIfAborted()
      await this.#manifest(name, digest, where)
    }
    for await (const tag of this.#tree.tags(name)) {
      signal?.throwIfAborted()
      this.#counts.tags += 1
      const target = await this.#tree.tag(name, tag)
      const revision = target && (await this.#tree.revision(name, target))
      const path = `${where}/_manifests/tags/${tag}`
      if (!target) this.#dangle('the tag says nothing', path)
      else if (!revision || !this.#blobs.has(revision))
        this.#dangle(`the tag stands for ${target}, which is not there`, path)
      await this.#attachedTag(name, tag)
    }
  }

  async #manifest(name: RepositoryName, digest: Digest, where: string): Promise<void> {
    const bytesAt = await this.#tree.revision(name, digest)
    const path = `${where}/_manifests/revisions`
    if (!bytesAt || !this.#name(bytesAt)) {
      // A deleted manifest leaves its folder without a link, which is nothing to report.
      if (bytesAt) this.#dangle(`manifest ${digest} has no bytes`, path)
      return
    }
    this.#counts.manifests += 1
    const { size } = this.#blobs.get(bytesAt) ?? { size: 0 }
    if (size > MANIFEST_BYTES_MAX) return this.#spoil(`manifest ${digest} has ${size} bytes`, path)
    const bytes = await readFile(this.#tree.pathOf(bytesAt))
    if (digestOf(bytes, algorithmOf(digest)) !== digest)
      return this.#spoil(`manifest ${digest} has bytes of another digest`, path)
    const { row, blobs, children } = factsOfForeign(bytes)
    if (row.subject) this.#counts.referrers += 1
    for (const child of children)
      if (!(await this.#tree.revision(name, child)))
        this.#dangle(`index ${digest} names ${child}, which is not there`, path)
    for (const blob of blobs) {
      const target = await this.#tree.layer(name, blob)
      if (!target || !this.#blobs.has(target))
        this.#dangle(`manifest ${digest} names ${blob}, which is not there`, path)
    }
    this.#measure(bytes, where)
  }

  /** A file that a crash cut short is found without hashing it: the manifest says how long it is. */
  #measure(bytes: Buffer, where: string): void {
    for (const { digest, size } of sizesIn(bytes)) {
      const found = this.#blobs.get(digest)
      if (found && found.size !== size)
        this.#spoil(`${digest} has ${found.size} bytes instead of ${size}`, where)
    }
  }

  async #attachedTag(repository: RepositoryName, tag: Tag): Promise<void> {
    const [, algorithm, hex, ending] = ATTACHED_TAG.exec(tag) ?? []
    const subject = `${algorithm}:${hex}`
    if (!isDigest(subject)) return
    this.#attachedCount += 1
    if (this.#attached.length >= LISTED_MAX) return
    const kinds = { sig: 'signature', att: 'attestation', sbom: 'sbom' } as const
    const kind = kinds[ending as keyof typeof kinds] ?? 'referrers'
    const subjectPresent = (await this.#tree.revision(repository, subject)) !== undefined
    this.#attached.push({ repository, tag, kind, subject, subjectPresent })
  }

  /** Notes that a repository names these bytes; false when they are not there. */
  #name(digest: Digest | undefined): boolean {
    const found = digest && this.#blobs.get(digest)
    if (found) found.named = true
    return found !== undefined
  }

  #dangle(what: string, where: string): void {
    this.#danglingCount += 1
    if (this.#dangling.length < LISTED_MAX) this.#dangling.push({ what, where })
  }

  #spoil(what: string, where: string): void {
    this.#corruptCount += 1
    if (this.#corrupt.length < LISTED_MAX) this.#corrupt.push({ what, where })
  }
}

/** Config and layers with the sizes that the manifest gives; none when it is no JSON, which is served all the same. */
function sizesIn(bytes: Buffer): { digest: Digest; size: number }[] {
  let document: unknown
  try {
    document = JSON.parse(bytes.toString('utf8'))
  } catch {
    return []
  }
  if (typeof document !== 'object' || document === null) return []
  const { config, layers } = document as { config?: unknown; layers?: unknown }
  const entries: unknown[] = [config, ...(Array.isArray(layers) ? layers : [])]
  return entries.flatMap((entry) => {
    const { digest, size } = (entry ?? {}) as { digest?: unknown; size?: unknown }
    return typeof digest === 'string' && isDigest(digest) && typeof size === 'number'
      ? [{ digest, size }]
      : []
  })
}
