// Opens the places that the arguments of a command name.
import { stat } from 'node:fs/promises'
import { type ImageText, kindOfNew, parseImageText } from '#cli/image-text.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Session } from '#cli/session.ts'
import { ArchivePlace } from '#client/archive-place.ts'
import { ArchiveWriter } from '#client/archive-writer.ts'
import { LayoutPlace } from '#client/layout-place.ts'
import type { Finishing, ReadablePlace, Referring, TagListing, WritablePlace } from '#client/place.ts'
import { isFinishing } from '#client/place.ts'
import {
  formatImageName,
  type ImageName,
  type LocalName,
  type RegistryName,
  referenceOf,
} from '#client/reference-name.ts'
import { RegistryPlace } from '#client/registry-place.ts'
import type { Reference, Tag } from '#oci/reference.ts'

export type SourcePlace = ReadablePlace & TagListing & Partial<Referring>

export interface Source {
  readonly place: SourcePlace
  readonly name: ImageName
  /** As it can be typed again. */
  readonly text: string
  readonly reference: Reference | undefined
}

export interface Destination {
  readonly place: WritablePlace
  readonly name: ImageName
  /** Undefined where nobody named one. */
  readonly tag: Tag | undefined
}

export interface OpenOptions {
  /** Only something on this machine makes sense. */
  readonly local?: boolean
}

/** @throws CommandFailure, ClientError */
export async function openSource(session: Session, text: string, options: OpenOptions = {}): Promise<Source> {
  const image = parseImageText(text, options)
  const { name } = image
  const place =
    name.kind === 'registry'
      ? await repositoryPlace(session, name, image.plainHttp, false)
      : await localSource(name, image.bare)
  return { place, name, text: formatImageName(name), reference: referenceOf(name) }
}

export async function openRepository(
  session: Session,
  text: string,
  push: boolean,
): Promise<{ readonly place: RegistryPlace; readonly name: RegistryName }> {
  const { name, plainHttp } = parseImageText(text)
  if (name.kind !== 'registry')
    throw new CommandFailure(EXIT.usage, `${text} is not in a registry: write host/repository[:tag]`)
  return { place: await repositoryPlace(session, name, plainHttp, push), name }
}

export async function openDestination(
  session: Session,
  text: string,
  options: OpenOptions = {},
): Promise<Destination> {
  const image = parseImageText(text, options)
  const { name } = image
  if (name.kind === 'registry') {
    const place = await repositoryPlace(session, name, image.plainHttp, true)
    return { place, name, tag: name.tag }
  }
  const kind = kindOfNew({ ...image, name } as ImageText & { name: LocalName })
  return { place: newLocal(kind, name), name: { ...name, kind }, tag: name.tag }
}

/** Ends a place that becomes visible as a whole: when the work went well, and leaves nothing behind when not. */
export async function finishing<T>(place: WritablePlace, work: () => Promise<T>): Promise<T> {
  const whole: Finishing | undefined = isFinishing(place) ? place : undefined
  try {
    const result = await work()
    await whole?.finish()
    return result
  } catch (error) {
    await whole?.discard()
    throw error
  }
}

async function repositoryPlace(
  session: Session,
  { host, repository }: RegistryName,
  plainHttp: boolean | undefined,
  push: boolean,
): Promise<RegistryPlace> {
  const client = await session.registries.client({ host, repository, plainHttp })
  return new RegistryPlace({ client, repository, push })
}

async function localSource(name: LocalName, bare: boolean): Promise<SourcePlace> {
  const found = await stat(name.path).catch(() => undefined)
  if (!found)
    throw new CommandFailure(EXIT.notFound, `${name.path} does not exist`, {
      hint: 'name a folder with an OCI image layout, or a tar archive of one or of docker save',
    })
  const isFolder = bare ? found.isDirectory() : name.kind === 'layout'
  if (!isFolder) return await ArchivePlace.open(name.path)
  const isLayout = await stat(`${name.path}/index.json`).catch(() => undefined)
  if (!isLayout) {
    throw new CommandFailure(EXIT.notFound, `${name.path} is no OCI image layout: it has no index.json`, {
      hint: 'for a folder of a registry, or a folder of layouts, see: stowage sync --help',
    })
  }
  return new LayoutPlace(name.path)
}

function newLocal(kind: LocalName['kind'], name: LocalName): WritablePlace {
  if (kind === 'layout') return new LayoutPlace(name.path)
  if (kind === 'oci-archive') return new ArchiveWriter(name.path)
  return new ArchiveWriter(name.path, { dockerName: name.imageName ?? 'image' })
}
