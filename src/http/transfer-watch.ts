// Cuts transfers that stopped: no byte for the idle time, or fewer than the minimum rate allows. A steady slow one goes on.

export interface WatchLimits {
  /** Longest time without a byte from the client. Milliseconds. */
  readonly idleMs: number
  /** The time over which the rate is measured. Milliseconds. */
  readonly rateWindowMs: number
  /** Longest time in which the operating system takes no byte of a reply. Milliseconds. Longer than idleMs, since socket
   * buffers of megabytes hide the progress of a slow reader. */
  readonly sendIdleMs: number
  /** Bytes a second that a client must send on average over the window. */
  readonly minRate: number
}

export interface Transfer {
  progress(bytes: number): void
  /** While we keep the client waiting, its clock stands. */
  pause(): void
  resume(): void
  end(): void
}

interface Watched {
  readonly direction: 'receive' | 'send'
  readonly cut: () => void
  windowStart: number
  windowBytes: number
  lastByte: number
  paused: boolean
}

const TICK_MS = 1_000

export class TransferWatch {
  readonly #limits: WatchLimits
  readonly #now: () => number
  readonly #transfers = new Set<Watched>()
  #timer: NodeJS.Timeout | undefined

  constructor(limits: WatchLimits, now: () => number = () => performance.now()) {
    this.#limits = limits
    this.#now = now
  }

  get active(): number {
    return this.#transfers.size
  }

  /** Calls `cut` once when the transfer stalls. */
  start(direction: 'receive' | 'send', cut: () => void): Transfer {
    const now = this.#now()
    const watched: Watched = {
      direction,
      cut,
      windowStart: now,
      windowBytes: 0,
      lastByte: now,
      paused: false,
    }
    this.#transfers.add(watched)
    this.#timer ??= setInterval(() => this.tick(), TICK_MS).unref()
    return {
      progress: (bytes) => {
        watched.windowBytes += bytes
        watched.lastByte = this.#now()
      },
      pause: () => {
        watched.paused = true
      },
      resume: () => {
        watched.paused = false
        restart(watched, this.#now())
      },
      end: () => {
        this.#transfers.delete(watched)
        if (this.#transfers.size > 0) return
        clearInterval(this.#timer)
        this.#timer = undefined
      },
    }
  }

  /** Looks at every transfer once. */
  tick(): void {
    const now = this.#now()
    for (const watched of this.#transfers) {
      if (watched.paused || !this.#stalled(watched, now)) continue
      this.#transfers.delete(watched)
      watched.cut()
    }
  }

  #stalled(watched: Watched, now: number): boolean {
    const { idleMs, rateWindowMs, sendIdleMs, minRate } = this.#limits
    if (watched.direction === 'send') return now - watched.lastByte >= sendIdleMs
    if (now - watched.lastByte >= idleMs) return true
    const elapsed = now - watched.windowStart
    if (elapsed < rateWindowMs) return false
    const tooSlow = watched.windowBytes < (minRate * elapsed) / 1_000
    restart(watched, now, watched.lastByte)
    return tooSlow
  }
}

function restart(watched: Watched, now: number, lastByte = now): void {
  watched.windowStart = now
  watched.windowBytes = 0
  watched.lastByte = lastByte
}
