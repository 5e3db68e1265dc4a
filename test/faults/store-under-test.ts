// A running registry with what it has acknowledged, for the stories that are told one request after the other.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { OCI_MANIFEST } from '#oci/media-types.ts'
import { type Answer, locationOf, send, type Target } from '../http/client.ts'
import { type Content, expectStatus, makeImage, putManifest, randomContent } from '../http/content.ts'
import {
  type RegistryServer,
  removeRegistry,
  restartRegistry,
  type ServerOptions,
  startRegistry,
} from '../processes/registry-server.ts'
import { Findings } from './findings.ts'
import { type FsckOptions, fsck } from './fsck.ts'

const STOP_MS_MAX = 20_000

export class StoreUnderTest implements AsyncDisposable {
  readonly blobs: Content[] = []
  readonly manifests: Content[] = []
  #server: RegistryServer

  private constructor(server: RegistryServer) {
    this.#server = server
  }

  static async start(options: ServerOptions = {}): Promise<StoreUnderTest> {
    return new StoreUnderTest(await startRegistry('stowage', options))
  }

  get process() {
    return this.#server.process
  }

  get folder(): string {
    return this.#server.folder
  }

  get root(): string {
    return join(this.folder, 'data')
  }

  get target(): Target {
    return { port: Number(this.#server.host.split(':')[1]) }
  }

  /** In one request, or as a session with a chunk and an empty close. Kept when it is acknowledged. */
  async pushBlob(content: Content, how: 'whole' | 'session' = 'whole'): Promise<Answer> {
    const answer = await (how === 'whole' ? this.#pushWhole(content) : this.#pushSession(content))
    if (answer.status === 201) this.blobs.push(content)
    return answer
  }

  #pushWhole({ bytes, digest }: Content): Promise<Answer> {
    return send(this.target, 'POST', `/v2/app/blobs/uploads/?digest=${digest}`, { body: bytes })
  }

  /** Resolves to the first answer that is no success. */
  async #pushSession({ bytes, digest }: Content): Promise<Answer> {
    const opened = await send(this.target, 'POST', '/v2/app/blobs/uploads/')
    if (opened.status !== 202) return opened
    const patched = await send(this.target, 'PATCH', locationOf(opened), { body: bytes })
    if (patched.status !== 202) return patched
    return send(this.target, 'PUT', `${locationOf(patched)}?digest=${digest}`)
  }

  /** An image of that tag; resolves to the first answer that is not 201, or the last one. */
  async pushImage(tag: string, layer: Content = randomContent(300)): Promise<Answer> {
    const image = makeImage([layer])
    for (const content of [image.config, ...image.layers]) {
      const answer = await this.pushBlob(content)
      if (answer.status !== 201) return answer
    }
    const answer = await putManifest(this.target, 'app', tag, image.manifest.bytes)
    if (answer.status === 201) this.manifests.push(image.manifest)
    return answer
  }

  /** Everything that was acknowledged can be read, and is what it was. */
  async servesAll(): Promise<void> {
    for (const { digest, bytes } of this.blobs) {
      const answer = await send(this.target, 'GET', `/v2/app/blobs/${digest}`)
      expectStatus(answer, 200)
      assert.ok(answer.body.equals(bytes), `${digest} came with other bytes`)
    }
    for (const { digest, bytes } of this.manifests) {
      const answer = await send(this.target, 'GET', `/v2/app/manifests/${digest}`, {
        headers: { Accept: OCI_MANIFEST },
      })
      expectStatus(answer, 200)
      assert.ok(answer.body.equals(bytes), `${digest} came with other bytes`)
    }
  }

  get(path: string): Promise<Answer> {
    return send(this.target, 'GET', path)
  }

  async restart(): Promise<void> {
    this.#server = await restartRegistry(this.#server)
  }

  /** Ends the server as an operator does. */
  async stop(): Promise<void> {
    this.process.signal('SIGTERM')
    const end = await this.process.untilEnds(STOP_MS_MAX)
    assert.equal(end, 0, `the stop ended with ${end}: ${this.process.output}`)
  }

  /** Facts and files agree. The server must be quiet or gone. */
  isSound(options: Pick<FsckOptions, 'links' | 'database'>): void {
    const findings = new Findings()
    fsck({ root: this.root, ...options }, findings)
    assert.equal(findings.total, 0, findings.told.join('\n'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeRegistry(this.#server)
  }
}
