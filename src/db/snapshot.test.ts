// A copy of a database that is written to: one moment of it, whole or not at all.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import type { Transaction } from '#db/db.ts'
import { ensureRepository, listRepositoryInCatalog } from '#db/repositories.ts'
import { LINKS_TO_WRITE, snapshotSqlite } from '#db/snapshot.ts'
import { openSqlite } from '#db/sqlite.ts'
import { UNFINISHED_COPY } from '#db/unfinished-copy.ts'

const folder = mkdtempSync(join(tmpdir(), 'stowage-snapshot-'))
after(() => rmSync(folder, { recursive: true }))

const path = join(folder, 'registry.sqlite')
const file = join(folder, 'copy.sqlite')

const pair = (number: number) => async (tx: Transaction) => {
  for (const side of ['one', 'other'])
    await listRepositoryInCatalog(tx, await ensureRepository(tx, `pair/${number}-${side}`, number))
}

function ask(place: string, sql: string): Record<string, unknown>[] {
  const database = new DatabaseSync(place)
  try {
    return database.prepare(sql).all()
  } finally {
    database.close()
  }
}

test('holds each transaction whole that was committed before, while others go on', async () => {
  const db = await openSqlite({ path })
  let written = 0
  let ended = false
  const writing = (async () => {
    while (!ended) {
      await db.transaction(pair(written))
      written += 1
    }
  })()
  while (written < 50) await new Promise(setImmediate)
  const before = written
  const { bytes } = await snapshotSqlite(path, file)
  ended = true
  await writing
  await db.close()
  const [row] = ask(file, "select count(*) as sides from repositories where name like 'pair/%'")
  const sides = Number(row?.['sides'])
  assert.ok(sides >= 2 * before && sides % 2 === 0, `${sides} of ${before}`)
  assert.equal(bytes, statSync(file).size)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.deepEqual(ask(file, `select value from settings where key = '${LINKS_TO_WRITE}'`).length, 1)
  assert.equal(ask(path, `select value from settings where key = '${LINKS_TO_WRITE}'`).length, 0)
  assert.deepEqual(readdirSync(folder).sort(), ['copy.sqlite', 'registry.sqlite'])
})

test('one that fails leaves the older one, and nothing else', async () => {
  const older = readFileSync(file)
  const broken = join(folder, 'broken.sqlite')
  writeFileSync(broken, `${'no database at all, '.repeat(100)}`)
  await assert.rejects(snapshotSqlite(broken, file))
  const half = new DatabaseSync(broken.replace('broken', 'half'))
  half.exec(`create table ${UNFINISHED_COPY} (source text)`)
  half.close()
  await assert.rejects(snapshotSqlite(join(folder, 'half.sqlite'), file), /half of a copy/)
  await assert.rejects(snapshotSqlite(join(folder, 'absent.sqlite'), file), /does not exist/)
  assert.deepEqual(readFileSync(file), older)
  assert.equal(existsSync(`${file}.part`), false)
})
