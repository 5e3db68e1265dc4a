// After a restart: asks the registry for what it promised, and compares every answer with the ledger.

import { digestOf } from '#oci/digest.ts'
import { type Answer, json } from '../../http/client.ts'
import type { Findings } from '../findings.ts'
import type { SeededRandom } from '../random.ts'
import { sideBySide } from '../side-by-side.ts'
import { ABSENT, type Ledger, type Thing } from './ledger.ts'
import type { Pusher } from './pusher.ts'
import { type Ask, expecting, patch, type Session } from './upload.ts'

const REQUESTS_AT_ONCE = 8
const PAGE = 50

/** All the pages of a listing that starts at a path. */
async function listed(ask: Ask, path: string, member: 'repositories' | 'tags'): Promise<string[]> {
  const names: string[] = []
  for (let next: string | undefined = `${path}?n=${PAGE}`; next !== undefined; ) {
    const answer = await ask('GET', next)
    if (answer.status === 404) return names
    expecting(answer, [200], next)
    names.push(...(json(answer) as Record<typeof member, string[]>)[member])
    next = /<([^>]+)>/.exec(String(answer.headers.link ?? ''))?.[1]
  }
  return names
}

export class Verifier {
  readonly #ask: Ask
  readonly #ledger: Ledger
  readonly #findings: Findings

  constructor(ask: Ask, ledger: Ledger, findings: Findings) {
    this.#ask = ask
    this.#ledger = ledger
    this.#findings = findings
  }

  /**
   * The catalog, and every tag of every repository: nothing missing, nothing that nobody pushed, and nothing that dangles
   * (looked at for the tags that were touched since the last time).
   */
  async listings(repositories: readonly string[], touched: readonly Thing[]): Promise<void> {
    const catalog = await listed(this.#ask, '/v2/_catalog', 'repositories')
    const things = this.#ledger.things()
    for (const repository of repositories) {
      const has = things.some(
        (thing) =>
          thing.kind === 'manifest' && thing.repository === repository && !this.#ledger.mayBe(thing, ABSENT),
      )
      if (has && !catalog.includes(repository)) this.#findings.add('lost', `${repository} from the catalog`)
      const fresh = touched.filter((thing) => thing.kind === 'tag' && thing.repository === repository)
      await this.#tagsOf(repository, things, new Set(fresh.map(({ name }) => name)))
    }
  }

  async #tagsOf(repository: string, things: readonly Thing[], fresh: ReadonlySet<string>): Promise<void> {
    const names = new Set(await listed(this.#ask, `/v2/${repository}/tags/list`, 'tags'))
    for (const thing of things) {
      if (thing.kind !== 'tag' || thing.repository !== repository) continue
      if (!names.has(thing.name)) this.#ledger.found(thing, ABSENT, this.#findings)
    }
    const tags = Array.from(names, (name): Thing => ({ kind: 'tag', repository, name }))
    await sideBySide(tags, REQUESTS_AT_ONCE, (tag) => this.#tag(tag, fresh.has(tag.name)))
  }

  /** Where the tag points, and whether all of it is there. */
  async #tag(thing: Thing, whole: boolean): Promise<void> {
    const { repository, name } = thing
    const { digest, answer } = await this.#get(`/v2/${repository}/manifests/${name}`)
    this.#ledger.found(thing, digest, this.#findings)
    if (digest === ABSENT) this.#findings.add('torn', `${repository}:${name} is listed and not there`)
    else if (whole) await this.#complete(repository, digest, answer)
  }

  async #complete(repository: string, digest: string, manifest: Answer): Promise<void> {
    const { config, layers } = json(manifest) as {
      config: { digest: string; size: number }
      layers: { digest: string; size: number }[]
    }
    for (const blob of [config, ...layers]) {
      const { status, headers } = await this.#ask('HEAD', `/v2/${repository}/blobs/${blob.digest}`)
      if (status !== 200 || Number(headers['content-length']) !== blob.size)
        this.#findings.add('torn', `${blob.digest} of ${digest} in ${repository} is ${status}`)
    }
  }

  /** A blob or manifest by its digest, its bytes hashed. */
  async content({ kind, repository, name }: Thing): Promise<void> {
    const { digest } = await this.#get(`/v2/${repository}/${kind}s/${name}`)
    if (digest !== ABSENT && digest !== name)
      this.#findings.add('corrupt', `${name} in ${repository} came as ${digest}`)
    this.#ledger.found({ kind, repository, name }, digest === ABSENT ? ABSENT : name, this.#findings)
  }

  /** The digest of what the registry sends, which must be what it says that it sends. */
  async #get(path: string): Promise<{ digest: string; answer: Answer }> {
    const answer = expecting(await this.#ask('GET', path), [200, 404], path)
    if (answer.status === 404) return { digest: ABSENT, answer }
    const digest = digestOf(answer.body)
    const claimed = answer.headers['docker-content-digest']
    if (claimed !== digest) this.#findings.add('corrupt', `${path} came as ${digest}, not ${claimed}`)
    return { digest, answer }
  }

  async contents(things: readonly Thing[]): Promise<void> {
    const byDigest = things.filter(({ kind }) => kind !== 'tag')
    await sideBySide(byDigest, REQUESTS_AT_ONCE, (thing) => this.content(thing))
  }

  /**
   * An upload that the kill interrupted: the registry has at least what it said it has, and going on there makes the blob.
   * Resolves to whether there was something to go on with.
   */
  async resumes(pusher: Pusher, session: Session, random: SeededRandom): Promise<boolean> {
    const { repository, content, closing, acknowledged, sent, path } = session
    const answer = expecting(
      await this.#ask('GET', path),
      closing ? [204, 404] : [204],
      'the status of an upload',
    )
    if (answer.status === 404) {
      pusher.sessions.delete(session)
      const blob = await this.#ask('HEAD', `/v2/${repository}/blobs/${content.digest}`)
      if (blob.status !== 200)
        this.#findings.add('lost', `the upload of ${content.digest}, and no blob instead`)
      return false
    }
    const offset = offsetOf(String(answer.headers.range))
    // The bytes of an upload that was being closed may have become a blob that nothing links yet: it begins again.
    const beganAgain = closing && offset === 0
    if ((offset < acknowledged && !beganAgain) || offset > sent) {
      this.#findings.add('lost', `an upload is at ${offset}: ${acknowledged} acknowledged, ${sent} sent`)
    }
    session.acknowledged = offset
    session.closing = false
    const left = content.bytes.length - offset
    if (left > 1 && random.chance(0.5)) await patch(this.#ask, session, Math.ceil(left / 2), random)
    await pusher.continueUpload(session, this.#ask)
    return true
  }
}

/** `0-<last byte>`, and `0-0` for nothing. */
function offsetOf(range: string): number {
  const last = Number(/^0-(\d+)$/.exec(range)?.[1])
  return last === 0 ? 0 : last + 1
}
