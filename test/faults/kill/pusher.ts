// One client: pushes, re-points, deletes, mounts, pulls and leaves uploads open, at random, until the server is gone.
// Its tags and its own blobs are named by nobody else, so it knows what to expect; repositories and base layers are shared.
import type { Agent } from 'node:http'
import { OCI_CONFIG, OCI_MANIFEST } from '#oci/media-types.ts'
import { locationOf, send, type Target } from '../../http/client.ts'
import { type Content, contentOf, descriptorOf, LAYER } from '../../http/content.ts'
import type { SeededRandom } from '../random.ts'
import { ABSENT, type Ledger, type Thing } from './ledger.ts'
import { type Ask, close, expecting, openSession, patch, type Session } from './upload.ts'

const KiB = 1024
const TAGS_EACH = 6
const OPEN_SESSIONS_MAX = 3

/** What every pusher of a store shares. */
export interface Scene {
  readonly ledger: Ledger
  readonly repositories: readonly string[]
  readonly baseLayers: readonly Content[]
}

interface PushedImage {
  readonly repository: string
  readonly digest: string
  /** Blobs that only this image has. */
  readonly own: readonly Content[]
}

export class Pusher {
  /** Sessions that the registry knows of, as far as we know. */
  readonly sessions = new Set<Session>()
  requests = 0
  readonly #name: string
  readonly #scene: Scene
  readonly #random: SeededRandom
  readonly #images = new Set<PushedImage>()
  #ask: Ask = () => Promise.reject(new Error('no server'))

  constructor(name: string, scene: Scene, random: SeededRandom) {
    this.#name = name
    this.#scene = scene
    this.#random = random
  }

  /** Works until a request fails; resolves to the failure. */
  async work(target: Target, agent: Agent): Promise<unknown> {
    this.#ask = async (method, path, options = {}) => {
      this.requests += 1
      return send(target, method, path, { ...options, agent })
    }
    try {
      for (;;) await this.#act()
    } catch (failure) {
      return failure
    }
  }

  #act(): Promise<void> {
    const roll = this.#random.next()
    if (roll < 0.55) return this.#pushImage()
    if (roll < 0.63) return this.#deleteTag()
    if (roll < 0.73) return this.#deleteImage()
    if (roll < 0.8) return this.#mount()
    if (roll < 0.9) return this.#leaveOrContinue()
    return this.#pull()
  }

  async #pushImage(): Promise<void> {
    const random = this.#random
    const repository = random.pick(this.#scene.repositories)
    const base = random.pick(this.#scene.baseLayers)
    const config = contentOf(JSON.stringify({ architecture: 'amd64', os: 'linux', by: random.next() }))
    const own = Array.from({ length: random.between(0, 2) }, () => contentOf(random.bytes(this.#size())))
    for (const content of [base, ...own, config]) await this.#pushBlob(repository, content)
    const manifest = contentOf(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: descriptorOf(config, OCI_CONFIG),
        layers: [base, ...own].map((layer) => descriptorOf(layer, LAYER)),
      }),
    )
    const tag = random.chance(0.85) ? this.#tag() : undefined
    await this.#putManifest(repository, manifest, tag)
    this.#images.add({ repository, digest: manifest.digest, own: [...own, config] })
  }

  /** Mostly small: those take another way to the disk than large ones. */
  #size(): number {
    return this.#random.chance(0.1)
      ? this.#random.between(600 * KiB, 1200 * KiB)
      : this.#random.between(100, 40 * KiB)
  }

  #tag(): string {
    return `${this.#name}-${this.#random.between(1, TAGS_EACH)}`
  }

  async #pushBlob(repository: string, content: Content): Promise<void> {
    const thing: Thing = { kind: 'blob', repository, name: content.digest }
    if (this.#random.chance(0.5)) {
      const { status } = await this.#ask('HEAD', `/v2/${repository}/blobs/${content.digest}`)
      // What somebody else is just pushing may be there already, though nobody was told.
      if (status === 200 && this.#scene.ledger.mayBe(thing, content.digest)) return
    }
    this.#scene.ledger.begin(thing, content.digest)
    if (this.#random.chance(0.4)) await this.#postWhole(repository, content)
    else await this.#upload(repository, content)
    this.#scene.ledger.acknowledge(thing, content.digest)
  }

  async #postWhole(repository: string, content: Content): Promise<void> {
    const path = `/v2/${repository}/blobs/uploads/?digest=${content.digest}`
    expecting(await this.#ask('POST', path, { body: content.bytes }), [201], 'a whole blob')
  }

  async #upload(repository: string, content: Content): Promise<void> {
    const session = await openSession(this.#ask, repository, content)
    this.sessions.add(session)
    const chunks = this.#random.between(0, 3)
    const size = Math.ceil(content.bytes.length / Math.max(1, chunks))
    for (let chunk = 0; chunk < chunks && session.acknowledged < content.bytes.length; chunk++) {
      await patch(this.#ask, session, size, this.#random)
    }
    await close(this.#ask, session)
    this.sessions.delete(session)
  }

  async #putManifest(repository: string, manifest: Content, tag: string | undefined): Promise<void> {
    const { ledger } = this.#scene
    const { digest } = manifest
    const things: Thing[] = [{ kind: 'manifest', repository, name: digest }]
    if (tag !== undefined) things.push({ kind: 'tag', repository, name: tag })
    for (const thing of things) ledger.begin(thing, digest)
    const answer = await this.#ask('PUT', `/v2/${repository}/manifests/${tag ?? digest}`, {
      headers: { 'Content-Type': OCI_MANIFEST },
      body: manifest.bytes,
    })
    expecting(answer, [201], 'a manifest')
    for (const thing of things) ledger.acknowledge(thing, digest)
  }

  async #deleteTag(): Promise<void> {
    const repository = this.#random.pick(this.#scene.repositories)
    const name = this.#tag()
    await this.#delete([{ kind: 'tag', repository, name }], `/v2/${repository}/manifests/${name}`)
  }

  async #deleteImage(): Promise<void> {
    const images = [...this.#images]
    if (images.length === 0) return
    const { ledger } = this.#scene
    const image = this.#random.pick(images)
    const { repository, digest, own } = image
    const tags = Array.from({ length: TAGS_EACH }, (_, index): Thing => {
      return { kind: 'tag', repository, name: `${this.#name}-${index + 1}` }
    }).filter((tag) => ledger.stateOf(tag) === digest)
    this.#images.delete(image)
    const manifest: Thing = { kind: 'manifest', repository, name: digest }
    await this.#delete([manifest, ...tags], `/v2/${repository}/manifests/${digest}`)
    for (const { digest: name } of own) {
      await this.#delete([{ kind: 'blob', repository, name }], `/v2/${repository}/blobs/${name}`)
    }
  }

  async #delete(things: readonly Thing[], path: string): Promise<void> {
    const { ledger } = this.#scene
    const [first] = things
    const isThere = first !== undefined && ledger.stateOf(first) !== ABSENT
    for (const thing of things) ledger.begin(thing, ABSENT)
    expecting(await this.#ask('DELETE', path), [isThere ? 202 : 404], `deleting ${path}`)
    if (isThere) for (const thing of things) ledger.acknowledge(thing, ABSENT)
  }

  async #mount(): Promise<void> {
    const { ledger, repositories, baseLayers } = this.#scene
    const { digest } = this.#random.pick(baseLayers)
    const [from, repository] = [this.#random.pick(repositories), this.#random.pick(repositories)]
    const thing: Thing = { kind: 'blob', repository, name: digest }
    ledger.begin(thing, digest)
    const path = `/v2/${repository}/blobs/uploads/?mount=${digest}&from=${from}`
    const answer = expecting(await this.#ask('POST', path), [201, 202], 'a mount')
    if (answer.status === 201) ledger.acknowledge(thing, digest)
    else expecting(await this.#ask('DELETE', locationOf(answer)), [204], 'cancelling an upload')
  }

  /** Leaves an upload half-way, to go on later, perhaps after a kill. */
  async #leaveOrContinue(): Promise<void> {
    const [oldest] = this.sessions
    if (oldest && this.sessions.size >= OPEN_SESSIONS_MAX) {
      await this.continueUpload(oldest, this.#ask)
      return
    }
    const content = contentOf(this.#random.bytes(this.#size()))
    const session = await openSession(this.#ask, this.#random.pick(this.#scene.repositories), content)
    this.sessions.add(session)
    await patch(this.#ask, session, Math.ceil(content.bytes.length / 2), this.#random)
  }

  async continueUpload(session: Session, ask: Ask): Promise<void> {
    const { ledger } = this.#scene
    const { repository, content } = session
    const thing: Thing = { kind: 'blob', repository, name: content.digest }
    ledger.begin(thing, content.digest)
    await close(ask, session)
    ledger.acknowledge(thing, content.digest)
    this.sessions.delete(session)
  }

  async #pull(): Promise<void> {
    const { ledger, repositories } = this.#scene
    const repository = this.#random.pick(repositories)
    const name = this.#tag()
    const expected = ledger.stateOf({ kind: 'tag', repository, name })
    const answer = await this.#ask('GET', `/v2/${repository}/manifests/${name}`)
    expecting(answer, [expected === ABSENT ? 404 : 200], `pulling ${repository}:${name}`)
    if (answer.status === 200 && contentOf(answer.body).digest !== expected)
      throw new Error(`${repository}:${name} is ${contentOf(answer.body).digest}, not ${expected}`)
  }
}
