// The embedded engine: SQLite in WAL mode, reads on one connection, transactions on another.
//
// A commit writes the WAL without syncing it (synchronous=NORMAL). What makes it durable is an fdatasync of the WAL file
// that began after the commit: asynchronous, and shared by all commits that wait. Checkpoints run on another thread.
import { fdatasync, fsync } from 'node:fs'
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { Kysely } from 'kysely'
import { Checkpointer } from '#db/checkpointer.ts'
import { type Db, type Executor, type HotQuery, Placeholder, type Transaction } from '#db/db.ts'
import { SqliteConnection, sqliteDialect } from '#db/kysely-sqlite.ts'
import { migrate } from '#db/migrate.ts'
import type { Tables } from '#db/schema.ts'
import { databaseFailure } from '#db/sqlite-failure.ts'
import { WalSync } from '#db/wal-sync.ts'
import { Mutex } from '#lib/mutex.ts'
import { OciError } from '#oci/errors.ts'

const fdatasyncAsync = promisify(fdatasync)
const fsyncAsync = promisify(fsync)

const CACHE_KIB = 16 * 1024
const WAL_BYTES_KEPT = 64 * 1024 * 1024

export interface SqliteOptions {
  /** The database file; undefined for one that lives as long as this process, in the system's temporary folder. */
  readonly path?: string | undefined
  /** Told when a checkpoint fails; the data is safe, the WAL grows. */
  readonly onError?: (error: Error) => void
  /** Told once when the disk did not keep what was written: from then on every write is refused. */
  readonly onSyncFailure?: (error: Error) => void
}

/** @throws Error when the file cannot be opened or holds a newer schema */
export async function openSqlite(options: SqliteOptions = {}): Promise<Db> {
  const temporary = options.path === undefined ? await mkdtemp(join(tmpdir(), 'stowage-db-')) : undefined
  const path = options.path ?? join(temporary ?? '', 'registry.sqlite')
  await mkdir(dirname(path), { recursive: true })
  const writer = connect(path)
  writer.database.exec('pragma foreign_keys = on')
  await migrate(new Kysely<Tables>({ dialect: sqliteDialect(writer) }))
  writer.database
    .prepare(
      "insert into settings (key, value) values ('opened_at', ?) on conflict (key) do update set value = excluded.value",
    )
    .run(new Date().toISOString())
  const reader = connect(path)
  reader.database.exec('pragma query_only = on')
  const wal = await open(`${path}-wal`, 'r+')
  const folder = await open(dirname(path), 'r')
  await fsyncAsync(folder.fd)
  await folder.close()
  const sync = new WalSync(() => fdatasyncAsync(wal.fd), options.onSyncFailure)
  await sync.run()
  const checkpointer = new Checkpointer(path, options.onError ?? (() => {}))
  return new SqliteDb(writer, reader, sync, checkpointer, async () => {
    await wal.close()
    if (temporary) await rm(temporary, { recursive: true, force: true })
  })
}

function connect(path: string): SqliteConnection {
  const database = new DatabaseSync(path)
  database.exec(
    `pragma busy_timeout = 10000;
     pragma journal_mode = wal;
     pragma synchronous = normal;
     pragma wal_autocheckpoint = 0;
     pragma journal_size_limit = ${WAL_BYTES_KEPT};
     pragma cache_size = -${CACHE_KIB};
     pragma temp_store = memory`,
  )
  return new SqliteConnection(database)
}

type SqlValue = null | number | bigint | string | Uint8Array
interface Prepared {
  readonly run: (values: SqlValue[]) => number
  readonly all: (values: SqlValue[]) => unknown[]
  readonly get: (values: SqlValue[]) => unknown
  readonly values: readonly unknown[]
}

class SqliteExecutor implements Executor {
  readonly kysely: Kysely<Tables>
  readonly #connection: SqliteConnection
  readonly #prepared = new Map<HotQuery<never, unknown>, Prepared>()

  constructor(connection: SqliteConnection) {
    this.#connection = connection
    this.kysely = new Kysely<Tables>({ dialect: sqliteDialect(connection) })
  }

  async all<P extends object, R>(query: HotQuery<P, R>, parameters: P): Promise<R[]> {
    const prepared = this.#prepare(query)
    return prepared.all(bind(prepared.values, parameters)) as R[]
  }

  async first<P extends object, R>(query: HotQuery<P, R>, parameters: P): Promise<R | undefined> {
    const prepared = this.#prepare(query)
    return prepared.get(bind(prepared.values, parameters)) as R | undefined
  }

  async run<P extends object>(query: HotQuery<P, unknown>, parameters: P): Promise<number> {
    const prepared = this.#prepare(query)
    return prepared.run(bind(prepared.values, parameters))
  }

  #prepare<P extends object, R>(query: HotQuery<P, R>): Prepared {
    const key = query as unknown as HotQuery<never, unknown>
    let prepared = this.#prepared.get(key)
    if (!prepared) {
      const { sql, values } = query.compile(this.kysely)
      const statement = this.#connection.database.prepare(sql)
      prepared = {
        values,
        run: (bound) => attempt(() => Number(statement.run(...bound).changes)),
        all: (bound) => attempt(() => statement.all(...bound)),
        get: (bound) => attempt(() => statement.get(...bound)),
      }
      this.#prepared.set(key, prepared)
    }
    return prepared
  }
}

/** @throws OciError STORAGE_FULL, UNAVAILABLE, or what SQLite said */
function attempt<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw databaseFailure(error)
  }
}

function bind(values: readonly unknown[], parameters: object): SqlValue[] {
  return values.map((value) =>
    value instanceof Placeholder ? (parameters as Record<string, SqlValue>)[value.name] : value,
  ) as SqlValue[]
}

class SqliteTransaction extends SqliteExecutor implements Transaction {
  readonly transaction = true
}

class SqliteDb extends SqliteExecutor implements Db {
  readonly engine = 'sqlite'
  readonly #writer: SqliteConnection
  readonly #reader: SqliteConnection
  readonly #transaction: SqliteTransaction
  readonly #mutex = new Mutex()
  readonly #sync: WalSync
  readonly #checkpointer: Checkpointer
  readonly #afterClose: () => Promise<void>

  constructor(
    writer: SqliteConnection,
    reader: SqliteConnection,
    sync: WalSync,
    checkpointer: Checkpointer,
    afterClose: () => Promise<void>,
  ) {
    super(reader)
    this.#writer = writer
    this.#reader = reader
    this.#transaction = new SqliteTransaction(writer)
    this.#sync = sync
    this.#checkpointer = checkpointer
    this.#afterClose = afterClose
  }

  async transaction<T>(
    work: (transaction: Transaction) => Promise<T>,
    { durable = true }: { durable?: boolean } = {},
  ): Promise<T> {
    const result = await this.#mutex.run(async () => {
      this.#sync.check()
      const { database } = this.#writer
      attempt(() => this.#writer.prepare('begin immediate').run())
      try {
        const value = await work(this.#transaction)
        attempt(() => this.#writer.prepare('commit').run())
        return value
      } catch (error) {
        // A full disk has SQLite roll back by itself; a second rollback would hide the first error.
        if (database.isTransaction) database.exec('rollback')
        // What the WAL takes up can be used again once it is in the database file: a delete may then succeed.
        if (error instanceof OciError && error.reason === 'STORAGE_FULL') this.#checkpointer.request()
        throw error
      }
    })
    this.#checkpointer.committed()
    if (durable) await this.#sync.run()
    return result
  }

  async close(): Promise<void> {
    await this.#mutex.run(async () => {
      await this.#checkpointer.close()
      this.#reader.database.close()
      this.#writer.database.close()
    })
    await this.#afterClose()
  }
}
