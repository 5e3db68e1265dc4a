// What was pushed to a registry, and whether another one serves it as it was.
import assert from 'node:assert/strict'
import { type Digest, digestOf } from '#oci/digest.ts'
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  MANIFEST_MEDIA_TYPES,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
} from '#oci/media-types.ts'
import { json, send, type Target } from '../http/client.ts'
import { type Content, contentOf, LAYER, pushBlob, putManifest, randomContent } from '../http/content.ts'

const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json'
const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip'

export interface PublishedManifest {
  readonly repository: string
  readonly mediaType: string
  readonly content: Content
  readonly tags: readonly string[]
}

export interface PublishedBlob {
  readonly repository: string
  readonly content: Content
}

/** Everything that a registry must be able to give back. */
export class Published {
  readonly manifests: PublishedManifest[] = []
  readonly blobs: PublishedBlob[] = []

  async image(
    server: Target,
    repository: string,
    tags: readonly string[],
    options: {
      docker?: boolean
      layers?: readonly Content[]
      members?: Readonly<Record<string, unknown>>
    } = {},
  ): Promise<PublishedManifest> {
    const { docker = false, layers = [randomContent(2_000)], members = {} } = options
    const config = contentOf(
      JSON.stringify({ architecture: 'amd64', os: 'linux', made: randomContent(8).digest }),
    )
    const describe = ({ digest, bytes }: Content, mediaType: string) => ({
      mediaType,
      digest,
      size: bytes.length,
    })
    const mediaType = docker ? DOCKER_MANIFEST : OCI_MANIFEST
    const content = contentOf(
      JSON.stringify({
        schemaVersion: 2,
        mediaType,
        config: describe(config, docker ? DOCKER_CONFIG : OCI_CONFIG),
        layers: layers.map((layer) => describe(layer, docker ? DOCKER_LAYER : LAYER)),
        ...members,
      }),
    )
    for (const blob of [config, ...layers]) await this.blob(server, repository, blob)
    return this.manifest(server, { repository, mediaType, content, tags })
  }

  async index(
    server: Target,
    repository: string,
    tags: readonly string[],
    children: readonly PublishedManifest[],
    docker = false,
  ): Promise<PublishedManifest> {
    const mediaType = docker ? DOCKER_LIST : OCI_INDEX
    const manifests = children.map(({ content: { digest, bytes }, mediaType }) => ({
      mediaType,
      digest,
      size: bytes.length,
      platform: { architecture: 'amd64', os: 'linux' },
    }))
    const content = contentOf(JSON.stringify({ schemaVersion: 2, mediaType, manifests }))
    return this.manifest(server, { repository, mediaType, content, tags })
  }

  async blob(server: Target, repository: string, content: Content): Promise<void> {
    const head = await send(server, 'HEAD', `/v2/${repository}/blobs/${content.digest}`)
    if (head.status !== 200) await upload(server, repository, content)
    this.blobs.push({ repository, content })
  }

  async manifest(server: Target, manifest: PublishedManifest): Promise<PublishedManifest> {
    const { repository, mediaType, content, tags } = manifest
    for (const reference of [content.digest, ...tags]) {
      const { status, body } = await putManifest(server, repository, reference, content.bytes, mediaType)
      assert.equal(status, 201, `${repository}:${reference} ${body}`)
    }
    this.manifests.push(manifest)
    return manifest
  }

  /** As when somebody deletes the tag: a manifest may lose its last one and stays. */
  untag(repository: string, tag: string): void {
    for (const [index, manifest] of this.manifests.entries()) {
      if (manifest.repository !== repository) continue
      this.manifests[index] = { ...manifest, tags: manifest.tags.filter((name) => name !== tag) }
    }
  }

  remove(manifest: PublishedManifest): void {
    const index = this.manifests.findIndex(
      ({ repository, content }) =>
        repository === manifest.repository && content.digest === manifest.content.digest,
    )
    assert.ok(index >= 0)
    this.manifests.splice(index, 1)
  }

  get repositories(): string[] {
    return [...new Set(this.manifests.map(({ repository }) => repository))].sort()
  }

  /** By tag and by digest, byte for byte; the lists too. */
  async assertServedBy(server: Target): Promise<void> {
    for (const { repository, mediaType, content, tags } of this.manifests) {
      for (const reference of [content.digest, ...tags])
        await assertManifest(server, repository, reference, content, mediaType)
    }
    for (const { repository, content } of this.blobs) await assertBlob(server, repository, content)
    for (const repository of this.repositories)
      assert.deepEqual(await tagsOf(server, repository), this.#tags(repository))
    assert.deepEqual(await catalogOf(server), this.repositories)
  }

  #tags(repository: string): string[] {
    return this.manifests
      .filter((manifest) => manifest.repository === repository)
      .flatMap(({ tags }) => tags)
      .sort()
  }
}

async function assertManifest(
  server: Target,
  repository: string,
  reference: string,
  content: Content,
  mediaType: string,
): Promise<void> {
  const path = `/v2/${repository}/manifests/${reference}`
  for (const method of ['GET', 'HEAD']) {
    const answer = await send(server, method, path, { headers: { Accept: MANIFEST_MEDIA_TYPES } })
    assert.equal(answer.status, 200, `${method} ${path}: ${answer.body}`)
    assert.equal(answer.headers['content-type'], mediaType, path)
    if (method === 'GET') assert.deepEqual(answer.body, content.bytes, path)
    assert.equal(answer.headers['docker-content-digest'], content.digest, path)
  }
}

export async function assertBlob(server: Target, repository: string, content: Content): Promise<void> {
  const path = `/v2/${repository}/blobs/${content.digest}`
  const answer = await send(server, 'GET', path)
  assert.equal(answer.status, 200, `${path}: ${answer.body}`)
  assert.deepEqual(answer.body, content.bytes, path)
}

export async function tagsOf(server: Target, repository: string): Promise<string[]> {
  const answer = await send(server, 'GET', `/v2/${repository}/tags/list`)
  return [...((json(answer) as { tags: string[] | null }).tags ?? [])].sort()
}

export async function catalogOf(server: Target): Promise<string[]> {
  const answer = await send(server, 'GET', '/v2/_catalog')
  return [...(json(answer) as { repositories: string[] }).repositories].sort()
}

/** Status of a manifest, by GET and by HEAD alike. */
export async function manifestStatus(server: Target, repository: string, reference: string): Promise<number> {
  const path = `/v2/${repository}/manifests/${reference}`
  const options = { headers: { Accept: MANIFEST_MEDIA_TYPES } }
  const [head, get] = [await send(server, 'HEAD', path, options), await send(server, 'GET', path, options)]
  assert.equal(head.status, get.status, path)
  return get.status
}

export async function blobStatus(server: Target, repository: string, digest: Digest): Promise<number> {
  const path = `/v2/${repository}/blobs/${digest}`
  const [head, get] = [await send(server, 'HEAD', path), await send(server, 'GET', path)]
  assert.equal(head.status, get.status, path)
  if (get.status === 200)
    assert.equal(digestOf(get.body, digest.startsWith('sha512') ? 'sha512' : 'sha256'), digest)
  return get.status
}

/** In two requests: registry:2 knows no upload in one. */
export async function upload(server: Target, repository: string, content: Content): Promise<void> {
  const opened = await send(server, 'POST', `/v2/${repository}/blobs/uploads/`, { body: '' })
  const location = new URL(opened.headers.location ?? '', 'http://127.0.0.1')
  location.searchParams.set('digest', content.digest)
  const closed = await send(server, 'PUT', `${location.pathname}${location.search}`, { body: content.bytes })
  assert.equal(closed.status, 201, String(closed.body))
}

/** A manifest under its sha512, with a tag that is bound to it: only Stowage takes such a push. */
export async function pushBySha512(
  server: Target,
  repository: string,
  tag: string,
): Promise<PublishedManifest> {
  const layer = randomContent(900)
  const config = contentOf(JSON.stringify({ made: layer.digest }))
  for (const blob of [layer, config]) await pushBlob(server, repository, blob)
  const describe = ({ digest, bytes }: Content, mediaType: string) => ({
    mediaType,
    digest,
    size: bytes.length,
  })
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: describe(config, OCI_CONFIG),
      layers: [describe(layer, LAYER)],
    }),
  )
  const digest = digestOf(bytes, 'sha512')
  const answer = await putManifest(server, repository, `${digest}?tag=${tag}`, bytes)
  assert.equal(answer.status, 201, String(answer.body))
  return { repository, mediaType: OCI_MANIFEST, content: { bytes, digest }, tags: [tag] }
}
