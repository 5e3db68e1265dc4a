// What Prometheus may ask, rendered by prom-client out of the numbers that Metrics keeps. Loaded at the first scrape: a
// server that nobody scrapes does without it.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { DURATION_BUCKETS, type RequestCells } from '#telemetry/request-cells.ts'
import type { MetricSamples } from '#telemetry/summed-metrics.ts'

/** Gauges are read when somebody scrapes; one without a reader, or whose reader fails, has no sample. */
const GAUGES = {
  stowage_uploads_open: 'Upload sessions that are open.',
  stowage_store_bytes: 'Bytes of all stored blobs, each counted once.',
  stowage_store_blobs: 'Blobs stored, each counted once.',
  stowage_event_lag: 'Events recorded that no subscriber has handled yet.',
  stowage_notifications_pending: 'Events that the endpoint which is furthest behind has not been told of.',
  stowage_webhooks_pending: 'Deliveries to webhooks that wait for their receivers.',
  stowage_jobs_waiting: 'Jobs that wait for their time or for a worker.',
  stowage_jobs_running: 'Jobs that a worker has, here or elsewhere.',
  stowage_jobs_oldest_due_seconds: 'How long the oldest job that is due has waited for a worker.',
} as const

export type GaugeName = keyof typeof GAUGES

/** The numbers, read at each scrape. */
export interface Numbers {
  readonly cells: RequestCells
  readonly readEventsDropped: () => number
  readonly authFailures: () => number
  readonly notificationFailures: () => number
  /** Ends of jobs by kind and outcome. */
  readonly jobs: ReadonlyMap<string, { readonly kind: string; readonly outcome: string; value: number }>
  /** Requests that rate limits refused, by what is limited and for whom. */
  readonly limited: ReadonlyMap<string, { readonly limit: string; readonly by: string; value: number }>
  /** Blobs that scrubs found broken, by what became of them. */
  readonly scrubbed: ReadonlyMap<string, number>
  /** Attempts to tell webhooks, by how they ended. */
  readonly webhooks: ReadonlyMap<string, number>
  readonly gauges: ReadonlyMap<GaugeName, () => number | Promise<number>>
}

const DURATION = 'stowage_http_request_duration_seconds'
const DURATION_HELP = 'Time from the head of a request to the end of its reply.'

interface Sample {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
  readonly metricName: string
  /** Of a whole histogram, in prom-client's own; `get` adds them to each sample's. */
  readonly sharedLabels: Readonly<Record<string, string>>
}

const NO_LABELS = {}

/** A histogram whose numbers are kept elsewhere and read when somebody scrapes. */
class CellHistogram extends Histogram<'operation'> {
  readonly #cells: RequestCells

  constructor(cells: RequestCells, registry: Registry) {
    super({ name: DURATION, help: DURATION_HELP, labelNames: ['operation'], registers: [registry] })
    this.#cells = cells
  }

  /** Where prom-client's own `get` and its text form take the samples from; its type declarations leave it out. */
  async getForPromString() {
    const values: Sample[] = []
    for (const cells of this.#cells.all()) {
      const { operation } = cells
      const { cumulative, seconds, count } = cells.durations()
      for (const [index, value] of cumulative.entries()) {
        const le = DURATION_BUCKETS[index] ?? '+Inf'
        values.push({
          labels: { le, operation },
          value,
          metricName: `${DURATION}_bucket`,
          sharedLabels: NO_LABELS,
        })
      }
      values.push({
        labels: { operation },
        value: seconds,
        metricName: `${DURATION}_sum`,
        sharedLabels: NO_LABELS,
      })
      values.push({
        labels: { operation },
        value: count,
        metricName: `${DURATION}_count`,
        sharedLabels: NO_LABELS,
      })
    }
    return { name: DURATION, help: DURATION_HELP, type: 'histogram', aggregator: 'sum', values }
  }
}

export class Exposition {
  readonly #registry = new Registry()

  constructor({
    cells,
    readEventsDropped,
    authFailures,
    notificationFailures,
    jobs,
    limited,
    webhooks,
    scrubbed,
    gauges,
  }: Numbers) {
    this.#requests(cells)
    new CellHistogram(cells, this.#registry)
    this.#counter('stowage_received_bytes_total', 'Bytes of request bodies.', () => cells.receivedBytes)
    this.#counter('stowage_sent_bytes_total', 'Bytes of reply bodies.', () => cells.sentBytes)
    this.#counter(
      'stowage_read_events_dropped_total',
      'Pull events that there was no room to record.',
      readEventsDropped,
    )
    this.#counter(
      'stowage_auth_failures_total',
      'Requests whose credentials or token were wrong.',
      authFailures,
    )
    this.#counter(
      'stowage_notification_failures_total',
      'Attempts to tell an endpoint of an event that failed, and are made again.',
      notificationFailures,
    )
    this.#jobs(jobs)
    this.#limited(limited)
    this.#counts(
      'stowage_webhook_attempts_total',
      'Attempts to tell webhooks of events, by how they ended.',
      'result',
      webhooks,
    )
    this.#counts(
      'stowage_scrub_findings_total',
      'Blobs that a scrub found broken, by what became of them.',
      'finding',
      scrubbed,
    )
    for (const [name, help] of Object.entries(GAUGES)) {
      this.#gauge(name, help, () => gauges.get(name as GaugeName))
    }
    collectDefaultMetrics({ register: this.#registry })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** Everything in Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics()
  }

  /** The same as data, to be added to that of other processes. */
  samples(): Promise<MetricSamples> {
    return this.#registry.getMetricsAsJSON()
  }

  /** The name, kind and meaning of every metric. */
  describe(): { readonly name: string; readonly type: string; readonly help: string }[] {
    return this.#registry
      .getMetricsAsArray()
      .map(({ name, type, help }) => ({ name, type: String(type), help }))
  }

  #requests(cells: RequestCells): void {
    new Counter({
      name: 'stowage_http_requests_total',
      help: 'Requests answered.',
      labelNames: ['operation', 'method', 'status'],
      registers: [this.#registry],
      collect() {
        this.reset()
        for (const operation of cells.all())
          for (const { method, status, value } of operation.counts())
            this.inc({ operation: operation.operation, method, status }, value)
      },
    })
  }

  #jobs(ends: Numbers['jobs']): void {
    new Counter({
      name: 'stowage_jobs_ended_total',
      help: 'Runs of jobs that ended here.',
      labelNames: ['kind', 'outcome'],
      registers: [this.#registry],
      collect() {
        this.reset()
        for (const { kind, outcome, value } of ends.values()) this.inc({ kind, outcome }, value)
      },
    })
  }

  #limited(refusals: Numbers['limited']): void {
    new Counter({
      name: 'stowage_rate_limited_total',
      help: 'Requests that a rate limit refused, by what is limited and for whom.',
      labelNames: ['limit', 'by'],
      registers: [this.#registry],
      collect() {
        this.reset()
        for (const { limit, by, value } of refusals.values()) this.inc({ limit, by }, value)
      },
    })
  }

  #counts(name: string, help: string, label: string, counts: ReadonlyMap<string, number>): void {
    new Counter({
      name,
      help,
      labelNames: [label],
      registers: [this.#registry],
      collect() {
        this.reset()
        for (const [of, value] of counts) this.inc({ [label]: of }, value)
      },
    })
  }

  #counter(name: string, help: string, read: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  }

  #gauge(name: string, help: string, reader: () => (() => number | Promise<number>) | undefined): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      async collect() {
        this.remove()
        const read = reader()
        if (!read) return
        try {
          this.set(await read())
        } catch {
          // A gap in a graph is the truth here; the other metrics must still be told.
        }
      },
    })
  }
}
