// Our command against skopeo, crane and oras: the same images, the same registry, the same folder, one after the other.
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type RegistryServer, removeRegistry, startRegistry } from '../../processes/registry-server.ts'
import { median } from '../comparison.ts'
import { type Carrier, type Job, PEERS, stowage } from './carriers.ts'
import { CountingRelay } from './counting-relay.ts'
import { type ImageSet, makeImageSet, removeImageSet, type Shape } from './image-set.ts'
import { type Cost, runTimed } from './timed-command.ts'

const REPOSITORY = 'bench/carried'
const CARRIERS: readonly Carrier[] = [stowage, ...PEERS]

export type Direction = 'pull' | 'push'

export interface Carried extends Cost {
  readonly carrier: string
  /** Bytes of blobs that went over the wire, for sets that share layers. */
  readonly movedBytes: number | undefined
}

export interface CarryRow {
  readonly direction: Direction
  readonly set: ImageSet
  readonly ours: Carried
  readonly peers: readonly Carried[]
}

export interface CarryEffort {
  readonly workspace: string
  readonly rounds: number
  readonly shapes: readonly Shape[]
}

/** Measures every shape in both directions. @throws Error when a client fails, or did not bring all there */
export async function compareCarriers(
  effort: CarryEffort,
  say: (line: string) => void,
): Promise<readonly CarryRow[]> {
  const rows: CarryRow[] = []
  for (const shape of effort.shapes) {
    const folder = join(effort.workspace, 'images')
    const set = makeImageSet(folder, shape)
    for (const direction of ['pull', 'push'] as const) {
      const row = await compareOne(effort, set, direction)
      for (const one of [row.ours, ...row.peers]) {
        say(`${direction} ${shape.images} image(s), ${one.carrier}: ${one.wallSeconds.toFixed(2)} s`)
      }
      rows.push(row)
    }
    removeImageSet(folder)
  }
  return rows
}

async function compareOne(effort: CarryEffort, set: ImageSet, direction: Direction): Promise<CarryRow> {
  const { workspace, rounds } = effort
  const ground = new Ground(workspace, set)
  const carry = (carrier: Carrier, counted = false) =>
    direction === 'pull' ? ground.pull(carrier, counted) : ground.push(carrier, counted)
  try {
    if (direction === 'pull') await ground.fill()
    const costs = new Map<Carrier, Cost[]>(CARRIERS.map((carrier) => [carrier, []]))
    // The first of several rounds brings files and programs into memory, and is not counted.
    for (let round = rounds > 1 ? 0 : 1; round <= rounds; round++) {
      for (const [carrier, kept] of costs) {
        const { cost } = await carry(carrier)
        if (round > 0) kept.push(cost)
      }
    }
    const carried: Carried[] = []
    for (const [carrier, kept] of costs) {
      const movedBytes = set.tags.length > 1 ? (await carry(carrier, true)).movedBytes : undefined
      carried.push({ carrier: carrier.name, movedBytes, ...mediansOf(kept) })
    }
    const [ours, ...peers] = carried
    if (!ours) throw new Error('nothing was measured')
    return { direction, set, ours, peers }
  } finally {
    await ground.close()
  }
}

function mediansOf(costs: readonly Cost[]): Cost {
  return {
    wallSeconds: median(costs.map((cost) => cost.wallSeconds)),
    cpuSeconds: median(costs.map((cost) => cost.cpuSeconds)),
    // Not a question of luck: the most of all rounds.
    peakBytes: Math.max(...costs.map((cost) => cost.peakBytes)),
  }
}

interface Carriage {
  readonly cost: Cost
  readonly movedBytes: number
}

/** Where a set is carried: a registry of distribution, and a folder that is new each time. */
class Ground {
  readonly #workspace: string
  readonly #set: ImageSet
  #filled: RegistryServer | undefined

  constructor(workspace: string, set: ImageSet) {
    this.#workspace = workspace
    this.#set = set
  }

  /** Starts a registry that has the images. */
  async fill(): Promise<void> {
    const server = await startRegistry('distribution', { parent: this.#workspace })
    this.#filled = server
    await this.#run(server, false, (job) => stowage.push(job))
  }

  async pull(carrier: Carrier, counted: boolean): Promise<Carriage> {
    if (!this.#filled) throw new Error('there is no registry to pull from')
    const into = join(this.#workspace, 'pulled')
    try {
      const carriage = await this.#run(this.#filled, counted, (job) => carrier.pull(job, into))
      this.#checkLayout(carrier, into)
      return carriage
    } finally {
      rmSync(into, { recursive: true, force: true })
    }
  }

  /** To a registry that is new each time: what clients remember of an earlier one is of no use to them. */
  async push(carrier: Carrier, counted: boolean): Promise<Carriage> {
    const server = await startRegistry('distribution', { parent: this.#workspace })
    try {
      const carriage = await this.#run(server, counted, (job) => carrier.push(job))
      await this.#checkTags(carrier, server)
      return carriage
    } finally {
      await removeRegistry(server)
    }
  }

  async close(): Promise<void> {
    if (this.#filled) await removeRegistry(this.#filled)
  }

  async #run(
    server: RegistryServer,
    counted: boolean,
    commandFor: (job: Job) => ReturnType<Carrier['push']>,
  ): Promise<Carriage> {
    const relay = counted ? await CountingRelay.start(server.url) : undefined
    try {
      const repository = `${relay?.host ?? server.host}/${REPOSITORY}`
      mkdirSync(this.#workspace, { recursive: true })
      const cost = await runTimed(commandFor({ set: this.#set, repository }), this.#workspace)
      return { cost, movedBytes: relay?.blobBytes ?? 0 }
    } finally {
      await relay?.close()
    }
  }

  #checkLayout({ name }: Carrier, folder: string): void {
    const files = readdirSync(join(folder, 'blobs', 'sha256')).length
    const expected = this.#set.blobs + this.#set.tags.length
    if (files !== expected) throw new Error(`${name} pulled ${files} of ${expected} blobs and manifests`)
  }

  async #checkTags({ name }: Carrier, server: RegistryServer): Promise<void> {
    const reply = await fetch(`${server.url}/v2/${REPOSITORY}/tags/list`)
    const { tags } = (await reply.json()) as { readonly tags?: readonly string[] }
    const { length } = this.#set.tags
    if (tags?.length !== length) throw new Error(`${name} pushed ${tags?.length ?? 0} of ${length} tags`)
  }
}
