// Kills the server with SIGKILL at random moments while several clients push and delete; after each restart everything that
// was acknowledged must be there, and nothing else.
import { Agent } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { send } from '../../http/client.ts'
import { contentOf } from '../../http/content.ts'
import {
  launchRegistry,
  type RegistryServer,
  removeRegistry,
  restartRegistry,
  startRegistry,
} from '../../processes/registry-server.ts'
import { Findings } from '../findings.ts'
import { fsck } from '../fsck.ts'
import { SeededRandom } from '../random.ts'
import { sideBySide } from '../side-by-side.ts'
import { Ledger } from './ledger.ts'
import { Pusher, type Scene } from './pusher.ts'
import type { Ask } from './upload.ts'
import { Verifier } from './verify.ts'

const PUSHERS = 5
const REPOSITORIES = ['team/app', 'team/web', 'solo']
const BASE_LAYERS = 8
/** A store is used for so many kills: then it is stopped, checked whole, and another one begins. */
const KILLS_PER_STORE = 10
/** Most of the time goes into waiting: for the disk, and for the next kill. */
const STORES_AT_ONCE = 2
const KILLS_PER_FSCK = 5
const KILL_AFTER_MS = { min: 50, max: 700 }
/** Of the kills, some come while the server is still starting. */
const KILL_AT_START = 0.1
const KILL_AT_START_MS_MAX = 400
const OLD_THINGS_CHECKED = 20
const STOP_MS_MAX = 20_000

export interface KillOptions {
  readonly kills: number
  readonly seed: number
  readonly say: (line: string) => void
}

export interface KillReport {
  readonly findings: Findings
  readonly kills: number
  readonly restarts: number
  readonly requests: number
  readonly acknowledged: Ledger['acknowledged']
  readonly doneUnanswered: number
  readonly resumed: number
  readonly unlinked: number
  readonly leftovers: number
}

interface Totals {
  kills: number
  restarts: number
  requests: number
  doneUnanswered: number
  resumed: number
  unlinked: number
  leftovers: number
  readonly acknowledged: { blob: number; manifest: number; tag: number; deleted: number }
}

export async function runKills({ kills, seed, say }: KillOptions): Promise<KillReport> {
  const findings = new Findings()
  const random = new SeededRandom(seed)
  const totals: Totals = {
    ...{ kills: 0, restarts: 0, requests: 0, doneUnanswered: 0, resumed: 0, unlinked: 0, leftovers: 0 },
    acknowledged: { blob: 0, manifest: 0, tag: 0, deleted: 0 },
  }
  const stores = Array.from({ length: Math.ceil(kills / KILLS_PER_STORE) }, (_, index) => ({
    kills: Math.min(KILLS_PER_STORE, kills - index * KILLS_PER_STORE),
    random: random.fork(),
  }))
  await sideBySide(stores, STORES_AT_ONCE, async (store) => {
    if (findings.total > 0) return
    await new StoreUnderFire(store.random, findings, totals).run(store.kills)
    say(`  ${totals.kills} of ${kills} kills, ${totals.acknowledged.manifest} manifests acknowledged`)
  })
  return { findings, ...totals }
}

class StoreUnderFire {
  readonly #random: SeededRandom
  readonly #findings: Findings
  readonly #totals: Totals
  readonly #scene: Scene
  readonly #pushers: readonly Pusher[]

  constructor(random: SeededRandom, findings: Findings, totals: Totals) {
    this.#random = random
    this.#findings = findings
    this.#totals = totals
    this.#scene = {
      ledger: new Ledger(),
      repositories: REPOSITORIES,
      baseLayers: Array.from({ length: BASE_LAYERS }, () =>
        contentOf(random.bytes(random.between(500, 60_000))),
      ),
    }
    this.#pushers = Array.from(
      { length: PUSHERS },
      (_, index) => new Pusher(`p${index}`, this.#scene, random.fork()),
    )
  }

  async run(kills: number): Promise<void> {
    let server = await startRegistry('stowage', { config: { log: LOG } })
    try {
      for (let kill = 1; kill <= kills && this.#findings.total === 0; kill++) {
        await this.#killUnderLoad(server)
        if (kill % KILLS_PER_FSCK === 0) this.#fsck(server, false)
        if (this.#random.chance(KILL_AT_START)) await this.#killAtStart(server)
        server = await restartRegistry(server)
        this.#totals.restarts += 1
        await this.#verify(server)
      }
      await this.#stop(server)
    } catch (error) {
      // A server that somebody else ended is no finding about the server: say how it ended.
      const end = server.process.hasEnded ? `ended with ${await server.process.untilEnds(0)}` : 'runs'
      const told = error instanceof Error ? error.stack : String(error)
      this.#findings.add('other', `${told}\nthe server ${end}\n${server.process.output}`)
    } finally {
      await removeRegistry(server)
      this.#sum()
    }
  }

  async #killUnderLoad(server: RegistryServer): Promise<void> {
    const agent = new Agent({ keepAlive: true })
    const target = targetOf(server)
    const working = Promise.all(this.#pushers.map((pusher) => pusher.work(target, agent)))
    await sleep(this.#random.between(KILL_AFTER_MS.min, KILL_AFTER_MS.max))
    if (server.process.hasEnded) throw new Error('the server ended by itself')
    await server.process.kill()
    this.#totals.kills += 1
    for (const failure of await working) {
      if (failure instanceof Error && 'code' in failure) continue
      this.#findings.add('other', failure instanceof Error ? String(failure.stack) : String(failure))
    }
    agent.destroy()
    if (server.process.output !== '') this.#findings.add('other', `the server said: ${server.process.output}`)
  }

  async #killAtStart(server: RegistryServer): Promise<void> {
    const starting = await launchRegistry(server)
    await sleep(this.#random.between(0, KILL_AT_START_MS_MAX))
    if (starting.hasEnded) throw new Error(`the server ended by itself:\n${starting.output}`)
    await starting.kill()
  }

  async #verify(server: RegistryServer): Promise<void> {
    const { ledger } = this.#scene
    const agent = new Agent({ keepAlive: true })
    const ask: Ask = (method, path, options = {}) =>
      send(targetOf(server), method, path, { ...options, agent })
    const verifier = new Verifier(ask, ledger, this.#findings)
    try {
      const touched = ledger.takeTouched()
      await verifier.listings(REPOSITORIES, touched)
      const things = ledger.things()
      const old = Array.from({ length: Math.min(OLD_THINGS_CHECKED, things.length) }, () =>
        this.#random.pick(things),
      )
      await verifier.contents([...new Set([...touched, ...old])])
      const interrupted = this.#pushers.flatMap((pusher) =>
        Array.from(pusher.sessions, (session) => ({ pusher, session })),
      )
      await sideBySide(interrupted, interrupted.length, async ({ pusher, session }) => {
        if (await verifier.resumes(pusher, session, this.#random)) this.#totals.resumed += 1
      })
    } finally {
      agent.destroy()
    }
  }

  /** The end of the store: everything once more, then a clean stop, after which link files agree too. */
  async #stop(server: RegistryServer): Promise<void> {
    if (this.#findings.total > 0) return
    const agent = new Agent({ keepAlive: true })
    const ask: Ask = (method, path, options = {}) =>
      send(targetOf(server), method, path, { ...options, agent })
    const { ledger } = this.#scene
    await new Verifier(ask, ledger, this.#findings).contents(ledger.things())
    agent.destroy()
    server.process.signal('SIGTERM')
    const end = await server.process.untilEnds(STOP_MS_MAX)
    if (end !== 0) this.#findings.add('other', `the stop ended with ${end}: ${server.process.output}`)
    const { unlinked, leftovers } = this.#fsck(server, true)
    this.#totals.unlinked += unlinked
    this.#totals.leftovers += leftovers
  }

  #fsck(server: RegistryServer, links: boolean) {
    return fsck({ root: join(server.folder, 'data'), links }, this.#findings)
  }

  #sum(): void {
    const { acknowledged, doneUnanswered } = this.#scene.ledger
    for (const kind of ['blob', 'manifest', 'tag', 'deleted'] as const) {
      this.#totals.acknowledged[kind] += acknowledged[kind]
    }
    this.#totals.doneUnanswered += doneUnanswered
    for (const { requests } of this.#pushers) this.#totals.requests += requests
  }
}

/** Errors only: anything that the server says is a finding. */
const LOG = { level: 'error', accesslog: { disabled: true } }

function targetOf(server: RegistryServer): { port: number } {
  return { port: Number(server.host.split(':')[1]) }
}
