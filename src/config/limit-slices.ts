// What the configuration allows to be used: quotas and rates, for the room that keeps them.
import { type DefaultLimits, NO_LIMITS } from '#access/quotas/limits.ts'
import type { RateSettings } from '#access/rates/rate-limits.ts'
import type { Config } from './schema.ts'

/** A zero in the file is no limit. */
export function defaultLimits({ quotas }: Config): DefaultLimits {
  const limit = (value: number) => (value === 0 ? null : value)
  const { registry, project, user } = quotas
  const limitsOf = (of: typeof registry) => ({
    bytes: limit(of.bytes),
    repositories: limit(of.repositories),
    tags: limit(of.tags),
  })
  return {
    registry: limitsOf(registry),
    project: limitsOf(project),
    user: { ...NO_LIMITS, bytes: limit(user.bytes) },
  }
}

/** Undefined where nobody is limited. */
export function rateSettings({ ratelimits, auth }: Config): RateSettings | undefined {
  const { address, anonymous, account, exempt } = ratelimits
  const isAny = [address, anonymous, account].some((rates) => Object.values(rates).some(Boolean))
  if (!isAny) return undefined
  return {
    address: { ...address, pulls: undefined },
    anonymous,
    account,
    canLogIn: Boolean(auth.htpasswd || auth.token || auth.stowage),
    exemptNetworks: exempt.networks,
    exemptAccounts: exempt.accounts,
  }
}
