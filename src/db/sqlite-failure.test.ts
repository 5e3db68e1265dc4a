import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { databaseFailure } from '#db/sqlite-failure.ts'
import { OciError } from '#oci/errors.ts'

/** What SQLite throws; only the code is ours where a real disk would be needed to provoke it. */
function failureOf(errcode: number): unknown {
  return databaseFailure(Object.assign(new Error('from SQLite'), { code: 'ERR_SQLITE_ERROR', errcode }))
}

test('a database that may not grow any more is a full disk', () => {
  const database = new DatabaseSync(':memory:')
  database.exec('pragma max_page_count = 3; create table t (content)')
  assert.throws(
    () => database.exec('insert into t values (zeroblob(100000))'),
    (error) => {
      const failure = databaseFailure(error)
      assert.ok(failure instanceof OciError && failure.cause === error)
      assert.equal(failure.reason, 'STORAGE_FULL')
      return true
    },
  )
  database.close()
})

for (const [name, errcode, reason] of [
  ['a WAL index that cannot grow (SQLITE_IOERR_SHMSIZE)', 4874, 'STORAGE_FULL'],
  ['a failed write (SQLITE_IOERR_WRITE)', 778, 'UNAVAILABLE'],
  ['a failed read (SQLITE_IOERR_READ)', 266, 'UNAVAILABLE'],
] as const) {
  test(`${name} is ${reason}`, () => {
    const failure = failureOf(errcode)
    assert.ok(failure instanceof OciError)
    assert.equal(failure.reason, reason)
  })
}

test('a broken statement and an error of our own stay what they are', () => {
  const database = new DatabaseSync(':memory:')
  assert.throws(
    () => database.exec('select from'),
    (error) => databaseFailure(error) === error,
  )
  database.close()
  const own = new OciError('BLOB_UNKNOWN')
  assert.equal(databaseFailure(own), own)
})
