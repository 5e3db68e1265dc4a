// Large buffers that downloads are read into, used again once whoever got the chunks has written them.
// Measured (315 MB over loopback, hashed and written): new buffers 0.64 CPU seconds, used again 0.49, and half the memory.

const SLAB_BYTES = 1024 * 1024
/** With less than this left, the next read goes to another slab. */
const REST_BYTES_MIN = 64 * 1024
const FREE_MAX = 16

const SLAB: unique symbol = Symbol('slab')

/** The memory of a chunk that came out of a slab says which. */
interface SlabMemory {
  [SLAB]?: Slab
}

class Slab {
  readonly bytes = Buffer.allocUnsafeSlow(SLAB_BYTES)
  readonly #pool: SlabPool
  filled = 0
  /** Chunks that are out. One that never comes back keeps the slab from being used again, and nothing else. */
  #out = 0
  #sealed = false

  constructor(pool: SlabPool) {
    this.#pool = pool
    Object.assign(this.bytes.buffer, { [SLAB]: this } satisfies SlabMemory)
  }

  lend(bytes: number): Uint8Array {
    const chunk = this.bytes.subarray(this.filled, this.filled + bytes)
    this.filled += bytes
    this.#out += 1
    return chunk
  }

  giveBack(): void {
    this.#out -= 1
    this.#rest()
  }

  /** Nothing more is read into it. */
  seal(): void {
    this.#sealed = true
    this.#rest()
  }

  #rest(): void {
    if (!this.#sealed || this.#out > 0) return
    this.#sealed = false
    this.filled = 0
    this.#pool.free(this)
  }
}

export class SlabPool {
  readonly #free: Slab[] = []

  take(): Slab {
    return this.#free.pop() ?? new Slab(this)
  }

  free(slab: Slab): void {
    if (this.#free.length < FREE_MAX) this.#free.push(slab)
  }
}

/** Where one connection reads to: a slab after the other. */
export class SlabCursor {
  readonly #pool: SlabPool
  #slab: Slab | undefined

  constructor(pool: SlabPool) {
    this.#pool = pool
  }

  /** Room for the next read. */
  space(): Uint8Array {
    if (this.#slab && SLAB_BYTES - this.#slab.filled < REST_BYTES_MIN) this.end()
    this.#slab ??= this.#pool.take()
    return this.#slab.bytes.subarray(this.#slab.filled)
  }

  /** The bytes that were read into that room, as a chunk that may be given back once. */
  filled(bytes: number): Uint8Array {
    return (this.#slab ?? this.#pool.take()).lend(bytes)
  }

  /** Nothing is read for now, so the rest of the slab is for others. */
  end(): void {
    this.#slab?.seal()
    this.#slab = undefined
  }
}

/** To be called at most once for a chunk, by its last owner, when its bytes are needed no more. Any chunk may be given. */
export function giveBack(chunk: Uint8Array): void {
  const memory: ArrayBufferLike & SlabMemory = chunk.buffer
  memory[SLAB]?.giveBack()
}
