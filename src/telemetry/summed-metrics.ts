// The metrics of several processes of one server as one: counted together, also those of processes that are gone.
import { AggregatorRegistry } from 'prom-client'

/** Metrics as JSON, the way prom-client tells them. */
export type MetricSamples = readonly { readonly name: string; readonly type?: unknown }[]

export interface Scraped {
  readonly contentType: string
  text(): Promise<string>
}

export class SummedMetrics {
  /** What each process said last, by its name. */
  readonly #latest = new Map<string, MetricSamples>()
  /** Counts of processes that ended: a sum that fell would look like a restart. */
  #departed: MetricSamples = []

  /** Remembers what the processes say now. */
  keep(name: string, samples: MetricSamples): void {
    this.#latest.set(name, samples)
  }

  async left(name: string): Promise<void> {
    const samples = this.#latest.get(name)
    this.#latest.delete(name)
    if (!samples) return
    // Names of types are those of prom-client's enumeration.
    const counts = samples.filter(({ type }) => type === 'counter' || type === 'histogram')
    this.#departed = await sumOf([this.#departed, counts]).getMetricsAsJSON()
  }

  /** The sum of all that are here, and of the counts of those that were. */
  scrape(): Scraped {
    const sum = sumOf([this.#departed, ...this.#latest.values()])
    return { contentType: sum.contentType, text: () => sum.metrics() }
  }
}

function sumOf(all: readonly MetricSamples[]) {
  return AggregatorRegistry.aggregate([...all] as object[])
}
