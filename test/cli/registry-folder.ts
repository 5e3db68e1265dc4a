// A folder as registry:2 writes it, made file by file: faster than pushing, and as broken as a test wants it.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { layerLink, revisionLink, tagCurrentLink } from '#blobs/layout.ts'
import { type Digest, encodedOf } from '#oci/digest.ts'
import { parseRepositoryName, parseTag } from '#oci/reference.ts'
import type { Image } from '../http/content.ts'

export function write(root: string, path: string, content: string | Buffer): void {
  const file = join(root, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
}

export function dataOf(root: string, digest: Digest): string {
  const hex = encodedOf(digest)
  return join(root, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data')
}

/** Writes an image as registry:2 does. */
export function putImage(root: string, repository: string, tag: string, image: Image): void {
  const name = parseRepositoryName(repository)
  for (const { digest, bytes } of [image.config, ...image.layers]) {
    write('', dataOf(root, digest), bytes)
    write(root, layerLink(name, digest), digest)
  }
  const { digest, bytes } = image.manifest
  write('', dataOf(root, digest), bytes)
  write(root, revisionLink(name, digest), digest)
  write(root, tagCurrentLink(name, parseTag(tag)), digest)
}
