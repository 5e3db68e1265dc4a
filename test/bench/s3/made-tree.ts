// A tree of many repositories as registry:2 writes it, straight into the folder of a bucket.
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { blobPath, layerLink, revisionLink, tagCurrentLink, tagIndexLink } from '#blobs/layout.ts'
import { digestOf } from '#oci/digest.ts'
import { parseRepositoryName, parseTag } from '#oci/reference.ts'
import { smallImage } from '../load/images.ts'

const LATEST = parseTag('latest')

/** One image of its own in each repository. */
export function writeTree(root: string, repositories: number): void {
  const write = (path: string, content: string | Uint8Array) => {
    const file = join(root, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
  }
  for (let index = 0; index < repositories; index++) {
    const name = parseRepositoryName(`teams/team-${index % 100}/service-${String(index).padStart(6, '0')}`)
    const { layer, config, manifest } = smallImage(randomBytes(64))
    for (const bytes of [layer, config, manifest]) write(blobPath(digestOf(bytes)), bytes)
    for (const bytes of [layer, config]) write(layerLink(name, digestOf(bytes)), digestOf(bytes))
    const digest = digestOf(manifest)
    for (const path of [
      revisionLink(name, digest),
      tagIndexLink(name, LATEST, digest),
      tagCurrentLink(name, LATEST),
    ])
      write(path, digest)
  }
}
