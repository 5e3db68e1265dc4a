// Counts and durations of requests in plain numbers. A request costs two look-ups and a few additions, about a tenth of a
// microsecond; prom-client, which sorts and joins labels for each observation, reads them when somebody scrapes.

/** Operations that are told apart; more are counted as OTHER. */
export const OPERATIONS_MAX = 64
export const OTHER = 'other'
/** Upper bounds in seconds: from a manifest out of memory to a layer of gigabytes. */
export const DURATION_BUCKETS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600,
]

const METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', OTHER]
const STATUS_MIN = 100
const STATUS_MAX = 599
const STATUSES = STATUS_MAX - STATUS_MIN + 1

export class OperationCells {
  readonly operation: string
  /** Requests by method and status; a method's statuses stand in a row. */
  readonly #counts = new Float64Array(METHODS.length * STATUSES)
  /** Requests by bucket, not cumulative; the last one is for what took longer than all bounds. */
  readonly #buckets = new Float64Array(DURATION_BUCKETS.length + 1)
  #seconds = 0

  constructor(operation: string) {
    this.operation = operation
  }

  add(method: string, status: number, seconds: number): void {
    const known = METHODS.indexOf(method)
    const row = known < 0 ? METHODS.length - 1 : known
    const column = status >= STATUS_MIN && status <= STATUS_MAX ? status - STATUS_MIN : STATUSES - 1
    const cell = row * STATUSES + column
    this.#counts[cell] = (this.#counts[cell] ?? 0) + 1
    let bucket = 0
    while (bucket < DURATION_BUCKETS.length && seconds > (DURATION_BUCKETS[bucket] ?? 0)) bucket++
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1
    this.#seconds += seconds
  }

  *counts(): Generator<{ readonly method: string; readonly status: string; readonly value: number }> {
    for (const [cell, value] of this.#counts.entries()) {
      if (value === 0) continue
      const method = METHODS[Math.floor(cell / STATUSES)] ?? OTHER
      yield { method, status: String((cell % STATUSES) + STATUS_MIN), value }
    }
  }

  /** Cumulative counts, one a bound and the last for all, as Prometheus wants them. */
  durations(): { readonly cumulative: readonly number[]; readonly seconds: number; readonly count: number } {
    const cumulative: number[] = []
    let count = 0
    for (const value of this.#buckets) {
      count += value
      cumulative.push(count)
    }
    return { cumulative, seconds: this.#seconds, count }
  }
}

export class RequestCells {
  readonly #byOperation = new Map<string, OperationCells>()
  receivedBytes = 0
  sentBytes = 0

  of(operation: string): OperationCells {
    return this.#byOperation.get(operation) ?? this.#create(operation)
  }

  all(): Iterable<OperationCells> {
    return this.#byOperation.values()
  }

  #create(operation: string): OperationCells {
    if (this.#byOperation.size >= OPERATIONS_MAX && operation !== OTHER) return this.of(OTHER)
    const cells = new OperationCells(operation)
    this.#byOperation.set(operation, cells)
    return cells
  }
}
