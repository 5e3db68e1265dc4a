import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Allowance, RateLimits, type RateSettings } from '#access/rates/rate-limits.ts'
import type { Db } from '#db/db.ts'
import type { Principal } from '#identity/principal.ts'
import { OciError } from '#oci/errors.ts'
import { RecordingLog } from '../../../test/http/recording-log.ts'
import { openFacts } from '../../../test/processes/test-database.ts'

const NONE: Allowance = { requests: undefined, bytes: undefined, pulls: undefined }
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const ANONYMOUS: Principal = { kind: 'anonymous' }
const ANN: Principal = { kind: 'user', name: 'ann' }

interface Process {
  readonly limits: RateLimits
  readonly refused: string[]
  readonly log: RecordingLog
}

let facts: Db
before(async () => {
  facts = await openFacts()
})
after(() => facts.close())

function processOf(
  settings: Partial<RateSettings>,
  { db = facts, now = () => 0 }: { db?: Db; now?: () => number } = {},
): Process {
  const refused: string[] = []
  const log = new RecordingLog()
  const whole = {
    address: NONE,
    anonymous: NONE,
    account: NONE,
    canLogIn: true,
    exemptNetworks: [],
    exemptAccounts: [],
    ...settings,
  }
  const onLimited = (limited: string, by: string) => refused.push(`${limited} ${by}`)
  return { limits: new RateLimits(whole, { db, log, now, onLimited }), refused, log }
}

function refusalOf(work: () => unknown): OciError | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    assert.ok(error instanceof OciError && error.reason === 'TOO_MANY_REQUESTS', String(error))
    return error
  }
}

/** How often it goes well, one after the other. */
function allowedTimes(timesMax: number, work: () => unknown): number {
  for (let times = 0; times < timesMax; times++) if (refusalOf(work)) return times
  return timesMax
}

describe('requests', () => {
  test('of an address are counted together, whoever asks, and a refusal says whose, how many and when again', () => {
    const { limits, refused } = processOf({
      address: { ...NONE, requests: { amount: 3, windowMs: HOUR_MS } },
    })
    assert.equal(
      allowedTimes(9, () => limits.arrived('192.0.2.1')),
      3,
    )
    const error = refusalOf(() => limits.arrived('::ffff:192.0.2.1'))
    assert.equal(error?.message, 'too many requests from your address: 3/1h are allowed; try again in 1200 s')
    assert.deepEqual(error?.detail, {
      guard: 'rate-limit',
      limited: 'requests',
      by: 'address',
      allowed: '3/1h',
    })
    assert.equal(error?.headers?.['Retry-After'], '1200')
    assert.deepEqual(refused, ['requests address', 'requests address'])
    limits.arrived('192.0.2.2')
    limits.admit({ principal: ANN, remote: '192.0.2.1' })
  })

  test('of an account are counted wherever they come from, those without a login by address', () => {
    const { limits } = processOf({
      anonymous: { ...NONE, requests: { amount: 2, windowMs: HOUR_MS } },
      account: { ...NONE, requests: { amount: 5, windowMs: HOUR_MS } },
    })
    const from = (last: number) => `198.51.100.${last}`
    let host = 0
    assert.equal(
      allowedTimes(9, () => limits.admit({ principal: { ...ANN, key: host }, remote: from(host++) })),
      5,
    )
    assert.equal(
      allowedTimes(9, () => limits.admit({ principal: ANONYMOUS, remote: from(1) })),
      2,
    )
    const error = refusalOf(() => limits.admit({ principal: ANONYMOUS, remote: from(1) }))
    assert.match(error?.message ?? '', /without a login .* or log in to be allowed more$/)
    limits.admit({ principal: ANONYMOUS, remote: from(2) })
    const requests = { amount: 1, windowMs: HOUR_MS }
    const open = processOf({ anonymous: { ...NONE, requests }, canLogIn: false }).limits
    open.admit({ principal: ANONYMOUS, remote: from(1) })
    const withoutLogins = refusalOf(() => open.admit({ principal: ANONYMOUS, remote: from(1) }))
    assert.match(withoutLogins?.message ?? '', /try again in \d+ s$/)
    limits.admit({ principal: { kind: 'robot', name: 'team+ci' }, remote: from(1) })
  })

  test('of exempt networks and accounts are not counted', () => {
    const requests = { amount: 1, windowMs: HOUR_MS }
    const { limits } = processOf({
      address: { ...NONE, requests },
      account: { ...NONE, requests },
      exemptNetworks: ['10.0.0.0/8', 'fd00::/8'],
      exemptAccounts: ['team+ci'],
    })
    const robot: Principal = { kind: 'robot', name: 'team+ci' }
    for (const remote of ['10.1.2.3', '::ffff:10.9.9.9', '[fd00::7]:80'])
      assert.equal(
        allowedTimes(5, () => {
          limits.arrived(remote)
          limits.admit({ principal: ANN, remote })
        }),
        5,
        remote,
      )
    assert.equal(
      allowedTimes(5, () => limits.admit({ principal: robot, remote: '203.0.113.9' })),
      5,
    )
    assert.equal(
      allowedTimes(5, () => limits.arrived('203.0.113.9')),
      1,
    )
    assert.equal(
      allowedTimes(5, () => limits.admit({ principal: ANN, remote: '203.0.113.9' })),
      1,
    )
  })
})

describe('bytes', () => {
  test('are let through while any are left, and then paid back by time', () => {
    const clock = { now: 0 }
    const { limits } = processOf(
      { account: { ...NONE, bytes: { amount: 1_000, windowMs: 10_000 } } },
      { now: () => clock.now },
    )
    const asker = { principal: { kind: 'user', name: 'bytes' } as const, remote: '192.0.2.50' }
    limits.mayMove(asker)
    limits.moved(asker, 2_500)
    const error = refusalOf(() => limits.mayMove(asker))
    assert.match(
      error?.message ?? '',
      /^too many bytes of your account: 1kB\/10s are allowed; try again in 16 s$/,
    )
    clock.now += 15_000
    assert.ok(refusalOf(() => limits.mayMove(asker)))
    clock.now += 100
    limits.mayMove(asker)
  })

  test('that were announced and did not come are given back', () => {
    const { limits } = processOf({ address: { ...NONE, bytes: { amount: 1_000, windowMs: DAY_MS } } })
    const asker = { principal: ANN, remote: '192.0.2.51' }
    limits.moved(asker, 5_000)
    assert.ok(refusalOf(() => limits.mayMove(asker)))
    limits.moved(asker, -4_500)
    limits.mayMove(asker)
  })
})

describe('pulls', () => {
  const settings = {
    anonymous: { ...NONE, pulls: { amount: 2, windowMs: 6 * HOUR_MS } },
    account: { ...NONE, pulls: { amount: 4, windowMs: 6 * HOUR_MS } },
  }

  test('tell what is left in the headers of Docker Hub', () => {
    const { limits } = processOf(settings)
    const asker = { principal: ANONYMOUS, remote: '2001:db8:7:7::1' }
    assert.deepEqual(limits.pullsLeft(asker), {
      'RateLimit-Limit': '2;w=21600',
      'RateLimit-Remaining': '2;w=21600',
      'Docker-RateLimit-Source': '2001:db8:7:7::/64',
    })
    assert.equal(limits.pulled(asker)['RateLimit-Remaining'], '1;w=21600')
    assert.equal(limits.pullsLeft(asker)['RateLimit-Remaining'], '1;w=21600')
    limits.pulled(asker)
    const error = refusalOf(() => limits.pulled(asker))
    assert.equal(error?.headers?.['RateLimit-Remaining'], '0;w=21600')
    assert.equal(error?.headers?.['Retry-After'], '10800')
    assert.match(error?.message ?? '', /^too many pulls without a login .* or log in to be allowed more$/)
    assert.equal(limits.pullsLeft({ ...asker, principal: ANN })['RateLimit-Remaining'], '4;w=21600')
    assert.deepEqual(processOf({}).limits.pullsLeft(asker), {})
  })
})

describe('many processes', () => {
  const settings = { account: { ...NONE, pulls: { amount: 10, windowMs: DAY_MS } } }
  const clientOf = (name: string) => ({ principal: { kind: 'user', name } as const, remote: '192.0.2.99' })

  test('count together as soon as they told each other', async () => {
    const [one, two] = [processOf(settings).limits, processOf(settings).limits]
    const asker = clientOf('everywhere')
    for (let pull = 0; pull < 4; pull++) one.pulled(asker)
    for (let pull = 0; pull < 3; pull++) two.pulled(asker)
    await Promise.all([one.share(), two.share()])
    // The one that was first has not heard of the other yet.
    two.pulled(asker)
    one.pulled(asker)
    await two.share()
    await one.share()
    assert.equal(one.pullsLeft(asker)['RateLimit-Remaining'], '1;w=86400')
    one.pulled(asker)
    await one.close()
    two.pulled(asker)
    await two.share()
    assert.ok(refusalOf(() => two.pulled(asker)))
    await two.close()
  })

  test('that start again know what was used before, once they asked', async () => {
    const asker = clientOf('again')
    const before = processOf(settings).limits
    for (let pull = 0; pull < 10; pull++) before.pulled(asker)
    await before.close()
    const after = processOf(settings).limits
    after.pulled(asker)
    await after.share()
    assert.ok(refusalOf(() => after.pulled(asker)))
    await after.close()
  })

  test('lose nothing while the database does not answer, and say so once', async () => {
    let isAway = true
    const db: Db = new Proxy(facts, {
      get(target, name) {
        const value = Reflect.get(target, name) as unknown
        if (typeof value !== 'function') return value
        if (name === 'transaction' && isAway) return () => Promise.reject(new Error('away'))
        return value.bind(target)
      },
    })
    const { limits, log } = processOf(settings, { db })
    const asker = clientOf('away')
    for (let pull = 0; pull < 6; pull++) limits.pulled(asker)
    await limits.share()
    await limits.share()
    assert.equal(log.lines.filter(({ level }) => level === 'warn').length, 1)
    assert.equal(limits.pullsLeft(asker)['RateLimit-Remaining'], '4;w=86400')
    isAway = false
    await limits.share()
    const other = processOf(settings).limits
    other.pulled(asker)
    await other.share()
    assert.equal(other.pullsLeft(asker)['RateLimit-Remaining'], '3;w=86400')
    await other.close()
    await limits.close()
  })

  test('forget who used nothing lately', async () => {
    const { limits } = processOf({ account: { ...NONE, pulls: { amount: 1_000_000, windowMs: 1_000 } } })
    limits.pulled(clientOf('soon free'))
    await limits.share()
    const rows = () =>
      facts.kysely.selectFrom('rate_uses').select('key').where('key', 'like', '%soon free').execute()
    assert.equal((await rows()).length, 1)
    await new Promise((resolve) => setTimeout(resolve, 5))
    await limits.keep()
    assert.equal((await rows()).length, 0)
    await limits.close()
  })
})
