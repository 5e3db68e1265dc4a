// A registry as the configuration describes it, with its upkeep: everything that does not listen.
import { randomUUID } from 'node:crypto'
import { forgetAuditCursor } from '#access/audit/audit-cursor.ts'
import { immutabilityGuard } from '#access/immutability/immutability-guard.ts'
import { quotaGuard } from '#access/quotas/quota-guard.ts'
import { UsageKeeper } from '#access/quotas/usage-keeper.ts'
import type { RateLimits } from '#access/rates/rate-limits.ts'
import type { Closers } from '#app/closers.ts'
import { watchGauges, watchJobs } from '#app/gauges.ts'
import type { Authentication } from '#app/open-authentication.ts'
import { openAuthentication } from '#app/open-authentication.ts'
import { openNotifications } from '#app/open-notifications.ts'
import { openRates } from '#app/open-rates.ts'
import { openStore, startFailure } from '#app/open-store.ts'
import type { OpenWebhooks, openWebhooks } from '#app/open-webhooks.ts'
import { announcer, uploadsOf } from '#app/processes.ts'
import type { Role } from '#app/role.ts'
import { lookPeriodically, sealPeriodically, startUpkeep } from '#app/upkeep.ts'
import { isListing, isRedirecting } from '#blobs/store.ts'
import { defaultLimits } from '#config/limit-slices.ts'
import type { Config } from '#config/schema.ts'
import { backgroundSettings, outboundOptions, registrySettings } from '#config/slices.ts'
import { projectDepth } from '#db/project-depth.ts'
import type { Reserve } from '#db/reserve.ts'
import { LocalSignals } from '#db/signals.ts'
import { ReadRecorder } from '#events/reads.ts'
import { KeyedMutex } from '#lib/keyed-mutex.ts'
import { Lru } from '#lib/lru.ts'
import { OutboundSource } from '#lib/outbound/outbound-source.ts'
import type { Background } from '#maintenance/background.ts'
import { openBackground } from '#maintenance/background.ts'
import type { OpenTree } from '#maintenance/open-tree.ts'
import { type Guard, noDeleteGuard, readOnlyGuard, reserveGuard } from '#registry/guards.ts'
import { LiveUploads } from '#registry/live-uploads.ts'
import { Figures } from '#registry/overview/figures.ts'
import { CACHED_CONTENT_BYTES_MAX, CONTENT_CACHE_BYTES_MAX, type Registry } from '#registry/registry.ts'
import type { Log } from '#telemetry/log.ts'
import { Metrics } from '#telemetry/metrics.ts'
export interface OpenRegistry {
  readonly registry: Registry
  readonly metrics: Metrics
  readonly authentication: Authentication
  readonly background: Background
  readonly tree: OpenTree | undefined
  readonly figures: Figures
  readonly usage: UsageKeeper
  /** Undefined where nobody is limited, and for a primary, which no client asks. */
  readonly rates: RateLimits | undefined
  /** Undefined where the registry has no users. */
  readonly webhooks: OpenWebhooks | undefined
}

/** Everything but the listener. */
export async function openRegistry(
  config: Config,
  log: Log,
  adminPassword: string | undefined,
  role: Role,
  closers: Closers,
): Promise<OpenRegistry> {
  const now = Date.now
  const metrics = new Metrics()
  const { storage, db, shared, tree, reserve } = await openStore(config, log, role, closers).catch(
    (error) => {
      throw startFailure(error, config)
    },
  )
  // Workers leave it to their primary; equal processes agree by a lease who does it.
  const notifier = role.kind === 'worker' ? undefined : await openNotifications(config, { db, log, metrics })
  if (notifier) closers.push(() => notifier.close())
  const reads = new ReadRecorder(db, log, now, (events) => metrics.readEventsDropped(events))
  closers.push(() => reads.close())
  const outbound = new OutboundSource(outboundOptions(config))
  closers.push(() => outbound.close())
  const signals = shared ?? (role.kind === 'alone' ? undefined : role.signals)
  const authentication = await openAuthentication(config, {
    ...{ db, log, now, adminPassword, outbound, signals },
  })
  const webhooks =
    authentication.directory &&
    (await loadWebhooks(config, { db, log, metrics, outbound, now, isTelling: role.kind !== 'worker' }))
  closers.push(() => webhooks?.webhooks?.close())
  const quotas = { db, defaults: defaultLimits(config), log }
  const usage = new UsageKeeper(quotas)
  closers.push(() => usage.close())
  const rates = await openRates(config, { db, log, metrics }, role, closers)
  const registry: Registry = {
    db,
    storage,
    redirecting: !config.storage.redirect.disable && isRedirecting(storage) ? storage : undefined,
    guards: [
      ...guardsOf(config, reserve),
      ...authentication.guards,
      quotaGuard({
        ...quotas,
        projectDepth: await projectDepth(db),
        now,
        onManyChanges: (scope) => usage.gatherSoon(scope),
      }),
    ],
    upstreams: tree ? [tree.pass] : [],
    settings: registrySettings(config),
    reads,
    log,
    now,
    newId: randomUUID,
    announce: announcer(role, shared, () => {
      tree?.wake()
      notifier?.wake()
      webhooks?.webhooks?.wake()
    }),
    live: new LiveUploads(config.http.limits.maxopenuploads),
    ...(await uploadsOf(role, shared, db, now)),
    content: new Lru({ weightMax: CONTENT_CACHE_BYTES_MAX, entryWeightMax: CACHED_CONTENT_BYTES_MAX }),
    verifying: new KeyedMutex(),
  }
  const { audit } = authentication
  closers.push(() => registry.claims.close())
  const jobSignals = signals ?? new LocalSignals()
  if (!signals) closers.push(() => jobSignals.close())
  const background = openBackground({
    registry,
    listing: isListing(storage) ? storage : undefined,
    isTreeRead: () => tree?.pass.done ?? true,
    signals: jobSignals,
    settings: backgroundSettings(config),
    onEnded: (kind, outcome) => metrics.jobEnded(kind, outcome),
    onScrubFinding: (kind) => metrics.scrubFound(kind),
    recount: async () => ({ wrong: (await usage.prove()).length }),
  })
  const figures = await Figures.open(db, log)
  closers.push(() => figures.close())
  if (audit) sealPeriodically(audit, log, closers)
  if (role.kind !== 'worker') {
    watchGauges(metrics, registry)
    watchJobs(metrics, background, now)
    if (tree) metrics.watch('stowage_event_lag', () => tree.lag())
    if (notifier) metrics.watch('stowage_notifications_pending', () => notifier.lag())
    if (webhooks?.webhooks) metrics.watch('stowage_webhooks_pending', () => webhooks.webhooks?.pending() ?? 0)
    if (!audit) await forgetAuditCursor(db)
    startUpkeep(config, registry, { reserve, access: authentication.upkeep, audit, figures, usage }, closers)
  }
  if (role.kind !== 'alone' && authentication.lookAgain)
    lookPeriodically(authentication.lookAgain, log, closers)
  return { registry, metrics, authentication, background, tree, figures, usage, rates, webhooks }
}

/** Without users there are no projects, and none of it is loaded. */
async function loadWebhooks(...parts: Parameters<typeof openWebhooks>): Promise<OpenWebhooks> {
  const room = await import('#app/open-webhooks.ts')
  return room.openWebhooks(...parts)
}

function guardsOf(config: Config, reserve: Reserve | undefined): Guard[] {
  const { maintenance, delete: deleting } = config.storage
  return [
    ...(maintenance.readonly.enabled ? [readOnlyGuard] : []),
    ...(deleting.enabled ? [] : [noDeleteGuard]),
    ...(reserve ? [reserveGuard(reserve)] : []),
    immutabilityGuard,
  ]
}
