// What a person typed for an image: a reference as docker takes it, or something on this machine.
import { CommandFailure, EXIT } from '#cli/output.ts'
import { type ImageName, type LocalName, parseImageName } from '#client/reference-name.ts'
import { OciError } from '#oci/errors.ts'

export interface ImageText {
  readonly name: ImageName
  /** What `http://` or `https://` before the reference said. */
  readonly plainHttp: boolean | undefined
  /** A path without a prefix: what kind of place it is must be looked up, or follows from its name. */
  readonly bare: boolean
}

/** No reference begins like this, so it can only be a path. */
const PATH = /^(?:\.{0,2}\/|\.{1,2}$)/

/**
 * `app:1`, `ghcr.io/a/b@sha256:…`, `http://host/app`, `oci:folder:tag`, `./folder:tag`, `image.tar`.
 * @param local true where only something on this machine makes sense, so that `folder` alone is one
 * @throws CommandFailure usage
 */
export function parseImageText(text: string, { local = false } = {}): ImageText {
  return asUsage(() => {
    const scheme = /^(https?):\/\//.exec(text)
    if (scheme) {
      const name = parseImageName(text.slice(scheme[0].length).replace(/\/$/, ''))
      return { name, plainHttp: scheme[1] === 'http', bare: false }
    }
    const prefixed = /^(?:oci|oci-archive|docker-archive):/.test(text)
    const bare = !prefixed && !text.startsWith('docker://') && (local || PATH.test(text) || isArchive(text))
    if (!bare) return { name: parseImageName(text), plainHttp: undefined, bare }
    return { name: parseImageName(`oci:${text}`), plainHttp: undefined, bare }
  })
}

/** The kind that a new place at this path gets. */
export function kindOfNew({ name, bare }: ImageText & { readonly name: LocalName }): LocalName['kind'] {
  return bare && isArchive(name.path) ? 'oci-archive' : name.kind
}

function isArchive(text: string): boolean {
  return /\.tar(?::[^/]*)?$/.test(text)
}

/** What is wrong with what was typed is a matter of usage. */
export function asUsage<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (error instanceof OciError) throw new CommandFailure(EXIT.usage, error.message, { cause: error })
    if (error instanceof Error && error.name === 'ClientError') {
      const hint = 'hint' in error ? String(error.hint) : undefined
      throw new CommandFailure(EXIT.usage, error.message, { hint, cause: error })
    }
    throw error
  }
}
