// The registry itself.
import { z } from 'zod'
import { timeText } from '#access/management/management.ts'
import { type ApiRoute, contentRoute } from '#http/api/route-table.ts'
import { count, text, time } from '#http/api/schemas.ts'

const system = z.object({
  version: text,
  node: text,
  /** What keeps the facts, and what keeps the bytes. */
  engine: text,
  storage: text,
  startedAt: time,
  uptimeSeconds: count,
  /** Counted at most every 30 seconds, at `countedAt`. */
  totals: z.object({
    repositories: count,
    manifests: count,
    tags: count,
    blobs: count,
    /** Of all blobs, as they are stored: each once. */
    bytes: count,
    uploads: count,
    projects: count,
    users: count,
    robots: count,
  }),
  countedAt: time,
})

export const SYSTEM_ROUTES: readonly ApiRoute[] = [
  contentRoute({
    method: 'GET',
    path: '/system',
    needs: 'overseer',
    about: 'Shows what the registry is, and how much is in it.',
    reply: system,
    async handle({ overview }) {
      const { uptimeMs, startedAt, countedAt, ...others } = await overview.system.read()
      return {
        status: 200,
        body: {
          ...others,
          startedAt: timeText(startedAt),
          uptimeSeconds: Math.floor(uptimeMs / 1_000),
          countedAt: timeText(countedAt),
        },
      }
    },
  }),
]
