// What is typed to carry a set of images with each client: the best single way that its manual offers.
import { join } from 'node:path'
import { requireProgram, requireTool } from '../../tools/find-program.ts'
import type { ImageSet } from './image-set.ts'

const STOWAGE = join(import.meta.dirname, '..', '..', '..', 'bin', 'stowage.js')

export interface Job {
  readonly set: ImageSet
  /** `127.0.0.1:<port>/<name>`, plain HTTP. */
  readonly repository: string
}

export type CommandLine = readonly [program: string, ...args: string[]]

export interface Carrier {
  readonly name: string
  /** From the registry to an OCI layout at `into`, which is not there yet. */
  pull(job: Job, into: string): CommandLine
  /** From the layouts of the set to the registry. */
  push(job: Job): CommandLine
}

/** For programs that carry one image: a loop over the tags, as one would write it. `$tag` is the tag. */
function forEachTag(tags: readonly string[], body: string): CommandLine {
  return [requireProgram('bash'), '-ec', `for tag; do ${body}; done`, 'bash', ...tags]
}

function only({ tags }: ImageSet): string | undefined {
  return tags.length === 1 ? tags[0] : undefined
}

export const stowage: Carrier = {
  name: 'stowage',
  pull({ set, repository }, into) {
    const tag = only(set)
    const args = tag
      ? ['pull', `http://${repository}:${tag}`, `oci:${into}`]
      : ['copy', '--all-tags', `http://${repository}`, `oci:${into}`]
    return [process.execPath, STOWAGE, '--quiet', ...args]
  },
  push({ set, repository }) {
    const tag = only(set)
    const args = tag
      ? ['push', `oci:${set.layout}:${tag}`, `http://${repository}:${tag}`]
      : ['copy', '--all-tags', `oci:${set.layout}`, `http://${repository}`]
    return [process.execPath, STOWAGE, '--quiet', ...args]
  },
}

/** `skopeo sync` knows no OCI layouts, and its folders share nothing: a copy for each tag into one layout moves less. */
const skopeo: Carrier = {
  name: 'skopeo',
  pull({ set, repository }, into) {
    const copy = `${requireProgram('skopeo')} copy -q --insecure-policy --src-tls-verify=false`
    return forEachTag(set.tags, `${copy} docker://${repository}:$tag oci:${into}:$tag`)
  },
  push({ set, repository }) {
    const copy = `${requireProgram('skopeo')} copy -q --insecure-policy --dest-tls-verify=false`
    return forEachTag(set.tags, `${copy} oci:${set.layout}:$tag docker://${repository}:$tag`)
  },
}

const crane: Carrier = {
  name: 'crane',
  pull({ set, repository }, into) {
    const images = set.tags.map((tag) => `${repository}:${tag}`)
    return [requireTool('crane'), 'pull', '--format=oci', ...images, into]
  },
  push({ set, repository }) {
    return forEachTag(set.tags, `${requireTool('crane')} push ${set.singles}/$tag ${repository}:$tag`)
  },
}

const oras: Carrier = {
  name: 'oras',
  pull({ set, repository }, into) {
    const tag = only(set)
    const program = requireTool('oras')
    if (!tag) return [program, 'backup', '--plain-http', '--no-tty', '--output', into, repository]
    const from = ['--from-plain-http', `${repository}:${tag}`]
    return [program, 'cp', '--no-tty', ...from, '--to-oci-layout', `${into}:${tag}`]
  },
  push({ set, repository }) {
    const tag = only(set)
    const program = requireTool('oras')
    if (!tag) return [program, 'restore', '--plain-http', '--no-tty', '--input', set.layout, repository]
    const to = ['--to-plain-http', `${repository}:${tag}`]
    return [program, 'cp', '--no-tty', '--from-oci-layout', `${set.layout}:${tag}`, ...to]
  },
}

export const PEERS: readonly Carrier[] = [skopeo, crane, oras]
