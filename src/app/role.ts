// Which part of a server a process is.
import type { ListenOptions } from 'node:net'
import type { Signals } from '#db/signals.ts'

/** Which part of a server this process is. */
export type Role =
  | { readonly kind: 'alone' }
  /** Keeps what all processes share, and serves nobody. */
  | ({ readonly kind: 'primary' } & Member)
  /** Serves, beside others, and leaves the upkeep to the primary. */
  | ({
      readonly kind: 'worker'
      readonly treeRead: boolean
      readonly workers: number
      readonly listen: ListenOptions
    } & Member)

interface Member {
  /** Unlike that of any other process, before or after. */
  readonly name: string
  readonly signals: Signals
}

export const ALONE: Role = { kind: 'alone' }
