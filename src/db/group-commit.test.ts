import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { GroupCommit, type Grouping } from '#db/group-commit.ts'

let database: DatabaseSync
let commits: number
let group: GroupCommit

beforeEach(() => {
  database = new DatabaseSync(':memory:')
  database.exec('create table facts (name text primary key, bytes blob)')
  commits = 0
  group = new GroupCommit(counting())
})

afterEach(() => database.close())

function counting(): Grouping {
  return {
    begin: async () => database.exec('begin immediate'),
    commit() {
      commits += 1
      database.exec('commit')
    },
    rollback: () => database.exec('rollback'),
    mark: () => database.exec('savepoint one'),
    unmark: () => database.exec('release one'),
    goBack: () => database.exec('rollback to one; release one'),
    get isOpen() {
      return database.isTransaction
    },
  }
}

async function insert(name: string, bytes = 1): Promise<string> {
  database.prepare('insert into facts values (?, zeroblob(?))').run(name, bytes)
  await Promise.resolve()
  return name
}

function names(): unknown[] {
  return database
    .prepare('select name from facts order by name')
    .all()
    .map(({ name }) => name)
}

describe('transactions that come together', () => {
  test('share one commit, and each gets its own result', async () => {
    const results = await Promise.all(['a', 'b', 'c'].map((name) => group.run(() => insert(name))))
    assert.deepEqual(results, ['a', 'b', 'c'])
    assert.deepEqual(names(), ['a', 'b', 'c'])
    assert.equal(commits, 1)
  })

  test('no result is told before the commit', async () => {
    const open = ['a', 'b'].map(async (name) => {
      await group.run(() => insert(name))
      return database.isTransaction
    })
    assert.deepEqual(await Promise.all(open), [false, false])
  })

  test('one that fails is undone alone', async () => {
    const settled = await Promise.allSettled([
      group.run(() => insert('a')),
      group.run(async () => {
        await insert('half')
        throw new Error('no')
      }),
      group.run(() => insert('c')),
    ])
    assert.deepEqual(
      settled.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    assert.deepEqual(names(), ['a', 'c'])
    assert.equal(commits, 1)
  })

  test('one that fails with nobody beside it leaves nothing, and the next one works', async () => {
    await assert.rejects(
      group.run(async () => {
        await insert('half')
        throw new Error('no')
      }),
      /no/,
    )
    await group.run(() => insert('next'))
    assert.deepEqual(names(), ['next'])
  })

  test('when the engine rolls back all, all that were before are told, and those after go on', async () => {
    const pages = Number(database.prepare('pragma page_count').get()?.['page_count'])
    database.exec(`pragma max_page_count = ${pages + 4}`)
    const settled = await Promise.allSettled([
      group.run(() => insert('before')),
      group.run(() => insert('too large', 1_000_000)),
      group.run(() => insert('after')),
    ])
    const kept = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    assert.deepEqual(names(), kept.sort())
    assert.equal(kept.includes('after'), true)
    assert.equal(kept.includes('too large'), false)
  })

  test('a commit that fails is told to everyone in it', async () => {
    const failing = Object.assign(Object.create(counting()) as Grouping, {
      commit() {
        throw new Error('no space')
      },
    })
    group = new GroupCommit(failing)
    const settled = await Promise.allSettled(['a', 'b'].map((name) => group.run(() => insert(name))))
    assert.deepEqual(
      settled.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    assert.deepEqual(names(), [])
  })

  test('a long queue is cut into several commits, in the order of the calls', async () => {
    const seen: string[] = []
    const wanted = Array.from({ length: 40 }, (_, index) => `n${index}`)
    await Promise.all(
      wanted.map((name) =>
        group.run(async () => {
          seen.push(await insert(name))
        }),
      ),
    )
    assert.deepEqual(seen, wanted)
    assert.ok(commits > 1 && commits < 10, `${commits} commits`)
    await group.drained()
  })
})
