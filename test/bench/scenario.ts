// The shape of one row of the comparison. A scenario puts load on a server; the runner around it reads what that costs.
import type { RegistryServer } from '../processes/registry-server.ts'
import type { RegistryClient } from './load/registry-client.ts'

export interface Side {
  /** `stowage`, `distribution`, or `subject` when distribution is measured against itself. */
  readonly name: string
  /** Another one after a restart. */
  server: RegistryServer
  readonly client: RegistryClient
  /** Headers of somebody who may pull and push; absent where nobody logs in. */
  readonly login?: Readonly<Record<string, string>>
}

/** How much to do: the full figures of docs/benchmarks.md, or the short version that only shows that everything runs. */
export interface Effort {
  /** A folder for the files that generators send. */
  readonly workspace: string
  readonly rounds: number
  /** How long the generators of many small requests run. */
  readonly loadSec: number
  readonly warmUpSec: number
  readonly bulkBytes: number
  /** Bulk pulls in one measurement, so that it is long enough for a clock of 10 ms. */
  readonly bulkPulls: number
  readonly imagesPerRound: number
}

export interface Load {
  readonly operations: number
  /** Wall time of the load alone. */
  readonly seconds: number
  /** Frees what the measurement left behind; called after the cost has been read. */
  readonly discard?: () => Promise<void>
}

/** Ratios of ours to distribution 3.1.1 in the same run. */
export interface Required {
  readonly cpuAtMost: number
  readonly rateAtLeast: number
}

export interface Scenario {
  readonly name: string
  readonly title: string
  readonly required: Required
  /** The unit that CPU per operation is printed in. */
  readonly cpuUnit: 's' | 'ms' | 'us'
  /** What one operation is, in the plural: `images`, or `MB` when operations are bytes moved. */
  readonly rateUnit: string
  /** Operations are counted in bulk bodies; their rate is printed in units of `ratePerOperation`. */
  readonly ratePerOperation?: (effort: Effort) => number
  /** Puts into the registry what the load asks for. Runs once on each side. */
  prepare(side: Side, effort: Effort): Promise<void>
  /** One measurement. `round` is 0 for the first; contents that must be new differ by it. */
  load(side: Side, effort: Effort, round: number): Promise<Load>
  /** Brings a server to its usual speed before the first measurement. */
  warmUp?(side: Side, effort: Effort): Promise<void>
}
