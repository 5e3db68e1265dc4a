// Webhooks of projects: who tells them, and what the management needs to make them.
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { WebhookSafety } from '#access/management/management.ts'
import { sealSecret } from '#access/seal-secret.ts'
import { WebhookSeal } from '#access/webhook-seal.ts'
import type { Config } from '#config/schema.ts'
import type { Db } from '#db/db.ts'
import { projectDepth } from '#db/project-depth.ts'
import { Webhooks } from '#events/webhooks/webhooks.ts'
import type { OutboundSource } from '#lib/outbound/outbound-source.ts'
import type { Log } from '#telemetry/log.ts'
import type { Metrics } from '#telemetry/metrics.ts'

export interface OpenWebhooks {
  readonly safety: WebhookSafety
  /** Undefined for a worker: its primary tells. */
  readonly webhooks: Webhooks | undefined
}

export async function openWebhooks(
  { webhooks: settings, http }: Config,
  parts: {
    readonly db: Db
    readonly log: Log
    readonly metrics: Metrics
    readonly outbound: OutboundSource
    readonly now: () => number
    readonly isTelling: boolean
  },
): Promise<OpenWebhooks> {
  const { db, log, metrics, outbound, now, isTelling } = parts
  const seal = new WebhookSeal(await sealSecret(db))
  const safety: WebhookSafety = {
    async check(url) {
      ;(await outbound.open()).checkUrl(url, 'listed')
    },
    seal: (unsealed) => seal.seal(unsealed),
    unseal: (sealed) => seal.unseal(sealed),
  }
  const webhooks = isTelling
    ? await Webhooks.open({
        ...{ db, log, now, random: Math.random },
        projectDepth: await projectDepth(db),
        outbound: () => outbound.open(),
        unseal: (sealed) => seal.unseal(sealed),
        source: { addr: http.host?.replace(/^https?:\/\//, '') || hostname(), instanceID: randomUUID() },
        giveUpMs: settings.giveupMs,
        keptMs: { delivered: settings.keptMs, dead: settings.deadkeptMs },
        onAttempt: (result) => metrics.webhookTried(result),
      })
    : undefined
  return { safety, webhooks }
}
