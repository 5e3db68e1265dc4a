// Figures that are looked up when somebody asks for the metrics.
import { storedTotals } from '#db/blobs.ts'
import { countUploads } from '#db/uploads.ts'
import type { Background } from '#maintenance/background.ts'
import type { Registry } from '#registry/registry.ts'
import type { Metrics } from '#telemetry/metrics.ts'

export function watchGauges(metrics: Metrics, registry: Registry): void {
  metrics.watch('stowage_uploads_open', () => countUploads(registry.db))
  // Both gauges are read in one scrape, and the totals cost a look at every blob: they share one.
  let pending: ReturnType<typeof storedTotals> | undefined
  const totals = () => {
    pending ??= storedTotals(registry.db).finally(() => {
      pending = undefined
    })
    return pending
  }
  metrics.watch('stowage_store_blobs', async () => (await totals()).blobs)
  metrics.watch('stowage_store_bytes', async () => (await totals()).bytes)
}

export function watchJobs(metrics: Metrics, { counts }: Background, now: () => number): void {
  metrics.watch('stowage_jobs_waiting', async () => (await counts()).waiting)
  metrics.watch('stowage_jobs_running', async () => (await counts()).running)
  metrics.watch('stowage_jobs_oldest_due_seconds', async () => {
    const { oldestDueAt } = await counts()
    return oldestDueAt === null ? 0 : Math.max(0, now() - oldestDueAt) / 1000
  })
}
