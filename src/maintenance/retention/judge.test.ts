import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { GraphManifest, RepositoryGraph } from '#db/repository-graph.ts'
import type { RetentionRule } from '#db/retention-rules.ts'
import { judgeManifests } from '#maintenance/retention/judge-manifests.ts'
import { DAY_MS, judgeTags, type RepositoryFacts, rulesFor } from '#maintenance/retention/judge-tags.ts'
import { type Digest, digestOf } from '#oci/digest.ts'
import { OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'

const NOW = 1_000 * DAY_MS
const COSIGN = 'application/vnd.dev.cosign.artifact.sig.v1+json'

const RULE: RetentionRule = {
  ...{ name: 'rule', repository: '**', tag: '*', exceptRepositories: [], exceptTags: [] },
  ...{ newest: null, pushedDays: null, pulledDays: null, signed: false, untaggedDays: null, disabled: false },
}

/** A repository out of manifests, each with the tags that stand for it and how long ago it was pushed, in days. */
class Repository {
  readonly manifests: GraphManifest[] = []
  readonly tags: { name: string; manifestId: number; updatedAt: number }[] = []
  readonly children = new Map<number, Digest[]>()
  readonly pulls = new Map<string, number>()
  readonly immutable = new Map<string, string>()

  add(
    name: string,
    days: number,
    {
      tags = [name],
      children = [],
      subject,
      artifactType = null,
    }: Partial<{
      tags: string[]
      children: Digest[]
      subject: Digest
      artifactType: string | null
    }> = {},
  ): Digest {
    const [id, digest] = [this.manifests.length + 1, digestOf(name)]
    const at = NOW - days * DAY_MS
    const mediaType = children.length > 0 ? OCI_INDEX : OCI_MANIFEST
    this.manifests.push({
      id,
      digest,
      subject: subject ?? null,
      mediaType,
      artifactType,
      size: 1,
      createdAt: at,
    })
    if (children.length > 0) this.children.set(id, children)
    for (const tag of tags) this.tags.push({ name: tag, manifestId: id, updatedAt: at })
    return digest
  }

  pulled(name: string, days: number): void {
    this.pulls.set(name, NOW - days * DAY_MS)
  }

  get facts(): RepositoryFacts {
    const graph: RepositoryGraph = { manifests: this.manifests, tags: this.tags, children: this.children }
    const immutableBy = (tag: string) => this.immutable.get(tag)
    return { repository: 'team/app', graph, pulls: this.pulls, immutableBy, now: NOW }
  }

  judge(...rules: readonly Partial<RetentionRule>[]) {
    const about = rulesFor(
      rules.map((rule) => ({ ...RULE, ...rule })),
      'team/app',
    )
    const verdicts = judgeTags(this.facts, about)
    const days = about.flatMap(({ untaggedDays }) => untaggedDays ?? [])
    const going = judgeManifests(this.facts, verdicts, days.length === 0 ? null : Math.min(...days))
    const names = new Map(this.manifests.map(({ digest }, index) => [digest, index]))
    return {
      gone: verdicts.filter(({ stays }) => !stays).map(({ tag }) => tag),
      why: new Map(verdicts.map(({ tag, why }) => [tag, why])),
      companions: going.companions,
      manifests: going.manifests.map(({ digest }) => digest),
      places: names,
    }
  }
}

describe('tags', () => {
  const aged = () => {
    const repository = new Repository()
    for (const [name, days] of [
      ['v1', 100],
      ['v2', 50],
      ['v3', 20],
      ['v4', 1],
      ['latest', 200],
    ] as const)
      repository.add(name, days)
    return repository
  }

  test('that no rule covers stay, and so does everything without a rule', () => {
    assert.deepEqual(aged().judge().gone, [])
    assert.deepEqual(aged().judge({ repository: 'other/**', newest: 1 }).gone, [])
    assert.deepEqual(aged().judge({ newest: 1, exceptRepositories: ['team/*'] }).gone, [])
    const { gone, why } = aged().judge({ tag: 'v*', newest: 1 })
    assert.deepEqual(gone, ['v1', 'v2', 'v3'])
    assert.equal(why.get('latest'), 'no rule covers it')
    assert.equal(why.get('v4'), 'rule: one of the 1 newest')
    assert.equal(why.get('v1'), 'rule: not one of the 1 newest, pushed 100 days ago')
    assert.deepEqual(aged().judge({ tag: 'v*', exceptTags: ['v1'], newest: 1 }).gone, ['v2', 'v3'])
  })

  test('stay for any reason of any rule that covers them', () => {
    const repository = aged()
    repository.pulled('v1', 3)
    repository.pulled(digestOf('v2'), 29)
    repository.pulled('v3', 40)
    assert.deepEqual(repository.judge({ tag: 'v*', pulledDays: 30 }).gone, ['v3', 'v4'])
    assert.deepEqual(repository.judge({ tag: 'v*', pulledDays: 30, pushedDays: 10 }).gone, ['v3'])
    const both = repository.judge({ tag: 'v*', pulledDays: 30 }, { name: 'new', tag: '*', newest: 1 })
    assert.deepEqual(both.gone, ['v3', 'latest'])
    assert.equal(both.why.get('v4'), 'new: one of the 1 newest')
    assert.equal(
      both.why.get('v3'),
      'rule: pulled 40 days ago; new: not one of the 1 newest, pushed 20 days ago',
    )
    assert.equal(repository.judge({ pulledDays: 1 }).why.get('latest'), 'rule: never pulled')
  })

  test('of the same time are the newest by name, so that two runs agree', () => {
    const repository = new Repository()
    for (const name of ['b', 'a', 'c']) repository.add(name, 5)
    assert.deepEqual(repository.judge({ newest: 2 }).gone, ['c'])
  })

  test('that are immutable stay, and so does what is signed, by a referrer or a tag', () => {
    const repository = aged()
    repository.immutable.set('v1', 'releases')
    const [, v2, v3] = repository.manifests
    repository.add('signature', 49, { tags: [], subject: v2?.digest ?? digestOf(''), artifactType: COSIGN })
    repository.add('old signature', 19, { tags: [`${v3?.digest.replace(':', '-')}.sig`] })
    const { gone, why, companions } = repository.judge({ tag: '*', signed: true })
    assert.deepEqual(gone, ['v4', 'latest'])
    assert.equal(why.get('v1'), 'immutable by the rule releases')
    assert.deepEqual(companions, [])
  })

  test('rules that are only about manifests without a tag let none go', () => {
    assert.deepEqual(aged().judge({ untaggedDays: 1 }).gone, [])
  })
})

describe('manifests', () => {
  test('that lose their last tag go, with their children and referrers; those that something else needs stay', () => {
    const repository = new Repository()
    const [shared, own] = [
      repository.add('shared', 90, { tags: [] }),
      repository.add('own', 90, { tags: [] }),
    ]
    const old = repository.add('old', 90, { children: [shared, own] })
    repository.add('new', 1, { children: [shared] })
    const note = repository.add('note', 80, { tags: [], subject: old })
    const kept = repository.add('untagged', 500, { tags: [] })
    const { gone, manifests } = repository.judge({ newest: 1 })
    assert.deepEqual(gone, ['old'])
    assert.deepEqual([...manifests].sort(), [old, own, note].sort())
    assert.ok(
      manifests.indexOf(old) < manifests.indexOf(own) && manifests.indexOf(old) < manifests.indexOf(note),
    )
    assert.ok(!manifests.includes(kept))
  })

  test('with another tag stay', () => {
    const repository = new Repository()
    repository.add('old', 90, { tags: ['old', 'stable'] })
    const { gone, manifests } = repository.judge({ tag: 'old', pushedDays: 1 })
    assert.deepEqual([gone, manifests], [['old'], []])
  })

  test('of signatures by tag go with their image, and theirs with them, and stay with it', () => {
    const repository = new Repository()
    const tagFor = (digest: Digest, suffix: string) => `${digest.replace(':', '-')}${suffix}`
    const [old, fresh] = [repository.add('old', 90), repository.add('fresh', 1)]
    const expected: string[] = []
    for (const image of [old, fresh]) {
      const sbomTag = tagFor(image, '.sbom')
      const sbom = repository.add(`sbom of ${image}`, 80, { tags: [sbomTag] })
      repository.add(`signature of ${image}`, 80, { tags: [tagFor(sbom, '.sig')] })
      if (image === old) expected.push(sbomTag, tagFor(sbom, '.sig'))
    }
    const { companions, manifests } = repository.judge({ newest: 1 })
    assert.deepEqual([...companions].sort(), expected.sort())
    assert.equal(manifests.length, 3)
  })

  test('without a tag go when a rule says so and nobody used them, and not when something keeps them', () => {
    const repository = new Repository()
    const child = repository.add('child', 90, { tags: [] })
    repository.add('index', 90, { children: [child] })
    const lost = repository.add('lost', 90, { tags: [] })
    const used = repository.add('used', 90, { tags: [] })
    repository.add('young', 5, { tags: [] })
    repository.pulled(used, 2)
    assert.deepEqual(repository.judge({ untaggedDays: 30 }).manifests, [lost])
    assert.deepEqual(repository.judge({ untaggedDays: 100 }).manifests, [])
  })
})

test('whatever rules say, nothing goes that a tag which stays needs, and all that is immutable stays', () => {
  const days = fc.integer({ min: 0, max: 60 })
  const manifest = fc.record({
    days,
    tags: fc.integer({ min: 0, max: 2 }),
    children: fc.array(fc.nat({ max: 20 }), { maxLength: 3 }),
    subject: fc.option(fc.nat({ max: 20 })),
    pulled: fc.option(days),
    isImmutable: fc.boolean(),
  })
  const optional = fc.option(fc.integer({ min: 1, max: 40 }))
  const rule = fc.record({
    ...{ newest: optional, pushedDays: optional, pulledDays: optional, untaggedDays: optional },
    ...{ tag: fc.constantFrom('*', '*a', '*b'), signed: fc.boolean() },
  })
  fc.assert(
    fc.property(fc.array(manifest, { maxLength: 20 }), fc.array(rule, { maxLength: 3 }), (made, rules) => {
      const repository = new Repository()
      for (const [index, one] of made.entries()) {
        const before = (place: number) => digestOf(`m${place % Math.max(index, 1)}`)
        const tags = ['a', 'b'].slice(0, one.tags).map((letter) => `t${index}${letter}`)
        const children = index === 0 ? [] : one.children.map(before)
        const subject = index > 0 && one.subject !== null ? { subject: before(one.subject) } : {}
        repository.add(`m${index}`, one.days, { tags, children, ...subject })
        for (const tag of tags) if (one.isImmutable) repository.immutable.set(tag, 'rule')
        if (one.pulled !== null && tags[0] !== undefined) repository.pulled(tags[0], one.pulled)
      }
      const { gone, manifests } = repository.judge(
        ...rules.map((one, index) => ({ ...one, name: `r${index}` })),
      )
      for (const tag of gone) assert.ok(!repository.immutable.has(tag))
      const going = new Set(manifests)
      const byDigest = new Map(repository.manifests.map((one) => [one.digest, one]))
      const open = repository.tags
        .filter(({ name }) => !gone.includes(name))
        .flatMap(({ manifestId }) => repository.manifests[manifestId - 1] ?? [])
      const seen = new Set<number>()
      for (let one = open.pop(); one; one = open.pop()) {
        if (seen.has(one.id)) continue
        seen.add(one.id)
        assert.ok(!going.has(one.digest), 'a tag that stays needs it')
        for (const child of repository.children.get(one.id) ?? [])
          open.push(...[byDigest.get(child)].filter((found) => found !== undefined))
        const { digest } = one
        open.push(...repository.manifests.filter(({ subject }) => subject === digest))
      }
    }),
  )
})
