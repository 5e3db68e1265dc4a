// The numbers of this process, kept as plain numbers and told to Prometheus when it asks.
// docs/reference/metrics.md lists the metrics; a test compares the two.
import type { Exposition, GaugeName } from '#telemetry/exposition.ts'
import { RequestCells } from '#telemetry/request-cells.ts'

export type { GaugeName } from '#telemetry/exposition.ts'

export class Metrics {
  readonly #cells = new RequestCells()
  readonly #readers = new Map<GaugeName, () => number | Promise<number>>()
  readonly #jobs = new Map<string, { readonly kind: string; readonly outcome: string; value: number }>()
  readonly #scrubbed = new Map<string, number>()
  readonly #webhooks = new Map<string, number>()
  readonly #limited = new Map<string, { readonly limit: string; readonly by: string; value: number }>()
  #readEventsDropped = 0
  #authFailures = 0
  #notificationFailures = 0
  #exposition: Promise<Exposition> | undefined

  /**
   * One finished request. Cheap enough for every one.
   * @param operation one of a fixed list, such as `manifest.pull`; never a path
   * @param bytesIn bytes of the request body, bytesOut of the reply's
   */
  request(
    operation: string,
    method: string,
    status: number,
    seconds: number,
    bytesIn: number,
    bytesOut: number,
  ): void {
    this.#cells.of(operation).add(method, status, seconds)
    this.#cells.receivedBytes += bytesIn
    this.#cells.sentBytes += bytesOut
  }

  readEventsDropped(count: number): void {
    this.#readEventsDropped += count
  }

  /** A run of a job ended. Both are one of a fixed list. */
  jobEnded(kind: string, outcome: string): void {
    const key = `${kind} ${outcome}`
    const ends = this.#jobs.get(key) ?? { kind, outcome, value: 0 }
    ends.value += 1
    this.#jobs.set(key, ends)
  }

  /** A scrub found a blob that is broken. One of a fixed list. */
  scrubFound(finding: string): void {
    this.#scrubbed.set(finding, (this.#scrubbed.get(finding) ?? 0) + 1)
  }

  /** A webhook was told of something, or was not. One of a fixed list. */
  webhookTried(result: string): void {
    this.#webhooks.set(result, (this.#webhooks.get(result) ?? 0) + 1)
  }

  /** A request was refused by a rate limit. Both are one of a fixed list. */
  limited(limit: string, by: string): void {
    const key = `${limit} ${by}`
    const refused = this.#limited.get(key) ?? { limit, by, value: 0 }
    refused.value += 1
    this.#limited.set(key, refused)
  }

  /** An attempt to tell an endpoint of an event failed, and is made again. */
  notificationFailed(): void {
    this.#notificationFailures++
  }

  authFailed(): void {
    this.#authFailures++
  }

  /** Names who knows the value of a gauge; asked once a scrape. */
  watch(name: GaugeName, read: () => number | Promise<number>): void {
    this.#readers.set(name, read)
  }

  /** Made at the first scrape, and then the same. */
  exposition(): Promise<Exposition> {
    this.#exposition ??= import('#telemetry/exposition.ts').then(
      (room) =>
        new room.Exposition({
          cells: this.#cells,
          readEventsDropped: () => this.#readEventsDropped,
          authFailures: () => this.#authFailures,
          notificationFailures: () => this.#notificationFailures,
          jobs: this.#jobs,
          limited: this.#limited,
          webhooks: this.#webhooks,
          scrubbed: this.#scrubbed,
          gauges: this.#readers,
        }),
    )
    return this.#exposition
  }
}
