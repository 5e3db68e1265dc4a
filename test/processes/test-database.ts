// The database of a server under test: SQLite, or a fresh one in the PostgreSQL that the run was given.
import { randomUUID } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import type { Db } from '#db/db.ts'
import { openSqlite } from '#db/sqlite.ts'

/** URL of a PostgreSQL in which databases may be made; set by test/postgres/main.ts. */
const VARIABLE = 'STOWAGE_TEST_POSTGRES'

export function isOnPostgres(): boolean {
  return process.env[VARIABLE] !== undefined
}

export interface TestDatabase {
  readonly url: string
  drop(): Promise<void>
}

/** The database that goes with a folder: of a server that had it before, or a fresh one. Undefined where the run is on SQLite. */
export async function databaseOf(folder: string): Promise<TestDatabase | undefined> {
  const server = process.env[VARIABLE]
  if (server === undefined) return undefined
  const note = join(folder, 'postgres-url')
  const known = await readFile(note, 'utf8').catch(() => undefined)
  if (known !== undefined) return { url: known, drop: async () => {} }
  const { url, drop } = await freshDatabase(server)
  await writeFile(note, url)
  return {
    url,
    async drop() {
      await rm(note, { force: true })
      await drop()
    },
  }
}

/** Facts for the test of a room below the server: on SQLite, or in a fresh database that goes with the close. */
export async function openFacts(): Promise<Db> {
  const server = process.env[VARIABLE]
  if (server === undefined) return openSqlite()
  const { openPostgres } = await import('#db/postgres.ts')
  const { url, drop } = await freshDatabase(server)
  const { db, signals } = await openPostgres({ url })
  const close = db.close.bind(db)
  return Object.assign(db, {
    async close() {
      await signals.close()
      await close()
      await drop()
    },
  })
}

async function freshDatabase(server: string): Promise<TestDatabase> {
  const name = `test_${randomUUID().replaceAll('-', '')}`
  await command(server, `create database ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => command(server, `drop database if exists ${name} with (force)`) }
}

async function command(url: string, sql: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
