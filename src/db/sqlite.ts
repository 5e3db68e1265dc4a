// The embedded engine: SQLite in WAL mode, one connection for transactions and one for reads while a transaction is open.
//
// Reads go to the connection that writes whenever they can: each commit of another empties a connection's cache of pages.
// A commit writes the WAL without syncing it (synchronous=NORMAL). What makes it durable is an fdatasync of the WAL file
// that began after the commit: asynchronous, and shared by all commits that wait. Checkpoints run on another thread.
import { fdatasync, fsync } from 'node:fs'
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Kysely } from 'kysely'
import { Checkpointer } from '#db/checkpointer.ts'
import {
  type Db,
  type Executor,
  type HotQuery,
  Placeholder,
  type Transaction,
  type TransactionOptions,
} from '#db/db.ts'
import { GroupCommit, type Grouping } from '#db/group-commit.ts'
import { SqliteConnection, sqliteDialect } from '#db/kysely-sqlite.ts'
import { migrate } from '#db/migrate.ts'
import type { Reserve } from '#db/reserve.ts'
import type { Tables } from '#db/schema.ts'
import type { Signals } from '#db/signals.ts'
import { databaseFailure, meansBusy, meansFull } from '#db/sqlite-failure.ts'
import { refuseUnfinishedCopy, UNFINISHED_COPY } from '#db/unfinished-copy.ts'
import { WalSync } from '#db/wal-sync.ts'
import { OciError } from '#oci/errors.ts'

const fdatasyncAsync = promisify(fdatasync)
const fsyncAsync = promisify(fsync)

const CACHE_KIB = 16 * 1024
/** Longest wait for other processes that write. */
const WRITER_WAIT_MS = 10_000
/** A transaction of another process takes about a millisecond: asked again after one, and more slowly the longer it takes. */
const BUSY_PAUSE_MS_MAX = 8
const WAL_BYTES_KEPT = 64 * 1024 * 1024
/** For what happens seldom: opening, and the recovery after a crash. */
const BUSY_TIMEOUT_MS = 10_000
const PRAGMAS = `pragma busy_timeout = ${BUSY_TIMEOUT_MS};
  pragma journal_mode = wal;
  pragma synchronous = normal;
  pragma wal_autocheckpoint = 0;
  pragma journal_size_limit = ${WAL_BYTES_KEPT};
  pragma cache_size = -${CACHE_KIB};
  pragma temp_store = memory`

export interface SqliteOptions {
  /** The database file; undefined for one that lives as long as this process, in the system's temporary folder. */
  readonly path?: string | undefined
  /** Told when a checkpoint fails; the data is safe, the WAL grows. */
  readonly onError?: (error: Error) => void
  /** Told once when the disk did not keep what was written: from then on every write is refused. */
  readonly onSyncFailure?: (error: Error) => void
  /** Given up by deletes, and by the opening, when the disk is full. */
  readonly reserve?: Reserve | undefined
  /** Where several processes have the database open. */
  readonly among?: AmongProcesses | undefined
}

export interface AmongProcesses {
  readonly signals: Signals
  /**
   * True for a process that joins another, which has brought the schema up to date, makes the checkpoints, and has the
   * database open for as long as this one has.
   */
  readonly joins: boolean
}

const CHECKPOINT_TOPIC = 'db.checkpoint'

/** @throws Error when the file cannot be opened or holds a newer schema */
export async function openSqlite(options: SqliteOptions = {}): Promise<Db> {
  const temporary = options.path === undefined ? await mkdtemp(join(tmpdir(), 'stowage-db-')) : undefined
  const path = options.path ?? join(temporary ?? '', 'registry.sqlite')
  await mkdir(dirname(path), { recursive: true })
  const { among } = options
  const isFirst = among?.joins !== true
  const { writer, reader } = await connectBoth(path, isFirst).catch(async (error) => {
    // Who cannot start cannot delete.
    if (!meansFull(error) || !(await options.reserve?.giveUp())) throw error
    return connectBoth(path, isFirst)
  })
  const wal = await open(`${path}-wal`, 'r+')
  const folder = await open(dirname(path), 'r')
  await fsyncAsync(folder.fd)
  await folder.close()
  const sync = new WalSync(() => fdatasyncAsync(wal.fd), options.onSyncFailure)
  await sync.run()
  const onDue = among?.joins ? () => among.signals.publish(CHECKPOINT_TOPIC) : undefined
  const checkpointer = new Checkpointer(path, options.onError ?? (() => {}), onDue)
  const unsubscribe = isFirst
    ? among?.signals.subscribe(CHECKPOINT_TOPIC, () => void checkpointer.request())
    : undefined
  return new SqliteDb(writer, reader, sync, checkpointer, options.reserve, async () => {
    unsubscribe?.()
    await wal.close()
    if (temporary) await rm(temporary, { recursive: true, force: true })
  })
}

async function connectBoth(
  path: string,
  isFirst: boolean,
): Promise<{ writer: SqliteConnection; reader: SqliteConnection }> {
  const writer = connect(path)
  try {
    writer.database.exec('pragma foreign_keys = on')
    if (isFirst) await makeReady(writer)
    // From here on `begin` waits without holding up this process; what follows it waits for nobody.
    writer.database.exec('pragma busy_timeout = 0')
    const reader = connect(path)
    reader.database.exec('pragma query_only = on')
    return { writer, reader }
  } catch (error) {
    writer.database.close()
    throw error
  }
}

async function makeReady(writer: SqliteConnection): Promise<void> {
  refuseUnfinishedCopy(
    writer.database
      .prepare("select 1 from sqlite_schema where type = 'table' and name = ?")
      .get(UNFINISHED_COPY),
  )
  await migrate(new Kysely<Tables>({ dialect: sqliteDialect(writer) }))
  writer.database
    .prepare(
      "insert into settings (key, value) values ('opened_at', ?) on conflict (key) do update set value = excluded.value",
    )
    .run(new Date().toISOString())
}

function connect(path: string): SqliteConnection {
  const database = new DatabaseSync(path)
  try {
    database.exec(PRAGMAS)
  } catch (error) {
    database.close()
    throw error
  }
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
  readonly engine = 'sqlite'
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
  readonly #writer: SqliteConnection
  readonly #reader: SqliteConnection
  readonly #transaction: SqliteTransaction
  readonly #commits: GroupCommit
  readonly #sync: WalSync
  readonly #checkpointer: Checkpointer
  readonly #reserve: Reserve | undefined
  readonly #afterClose: () => Promise<void>

  constructor(
    writer: SqliteConnection,
    reader: SqliteConnection,
    sync: WalSync,
    checkpointer: Checkpointer,
    reserve: Reserve | undefined,
    afterClose: () => Promise<void>,
  ) {
    super(reader)
    this.#writer = writer
    this.#reader = reader
    this.#transaction = new SqliteTransaction(writer)
    this.#commits = new GroupCommit(groupingOf(writer))
    this.#sync = sync
    this.#checkpointer = checkpointer
    this.#reserve = reserve
    this.#afterClose = afterClose
  }

  override all<P extends object, R>(query: HotQuery<P, R>, parameters: P): Promise<R[]> {
    return this.#isWriting ? super.all(query, parameters) : this.#transaction.all(query, parameters)
  }

  override first<P extends object, R>(query: HotQuery<P, R>, parameters: P): Promise<R | undefined> {
    return this.#isWriting ? super.first(query, parameters) : this.#transaction.first(query, parameters)
  }

  /** What is open on the connection is not committed: nobody else may see it. */
  get #isWriting(): boolean {
    return isWriting(this.#writer)
  }

  async transaction<T>(
    work: (transaction: Transaction) => Promise<T>,
    { durable = true, mayUseReserve = false }: TransactionOptions = {},
  ): Promise<T> {
    if (!mayUseReserve && this.#reserve?.isGivenUp && !(await this.#reserve.make())) {
      throw new OciError('STORAGE_FULL')
    }
    let result: T
    try {
      result = await this.#write(work, mayUseReserve)
    } catch (error) {
      if (!meansFull(error)) throw error
      if (mayUseReserve) await this.#reserve?.giveUp()
      // What the WAL takes up can be used again once it is in the database file.
      const folded = this.#checkpointer.request()
      if (!mayUseReserve) throw error
      await folded
      result = await this.#write(work, mayUseReserve)
    }
    this.#checkpointer.committed()
    if (durable) await this.#sync.run()
    return result
  }

  #write<T>(work: (transaction: Transaction) => Promise<T>, mayUseReserve: boolean): Promise<T> {
    return this.#commits.run(async () => {
      this.#sync.check()
      if (!mayUseReserve && this.#reserve?.isGivenUp) throw new OciError('STORAGE_FULL')
      return await work(this.#transaction)
    })
  }

  async close(): Promise<void> {
    await this.#commits.drained()
    await this.#checkpointer.close()
    this.#reader.database.close()
    this.#writer.database.close()
    await this.#afterClose()
  }
}

function groupingOf(connection: SqliteConnection): Grouping {
  const run = (sql: string) => void attempt(() => connection.prepare(sql).run())
  return {
    begin: () => beginWithoutBlocking(run),
    commit: () => run('commit'),
    rollback: () => run('rollback'),
    mark: () => run('savepoint one'),
    unmark: () => run('release one'),
    goBack() {
      run('rollback to one')
      run('release one')
    },
    get isOpen() {
      return isWriting(connection)
    },
  }
}

/** SQLite's own wait for a lock would hold up everybody else in this process. */
async function beginWithoutBlocking(run: (sql: string) => void): Promise<void> {
  const deadline = performance.now() + WRITER_WAIT_MS
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, BUSY_PAUSE_MS_MAX)) {
    try {
      run('begin immediate')
      return
    } catch (error) {
      if (!meansBusy(error)) throw error
      if (performance.now() > deadline) throw new OciError('UNAVAILABLE', { cause: error })
    }
    await wait(pauseMs)
  }
}

function isWriting({ database }: SqliteConnection): boolean {
  return database.isOpen && database.isTransaction
}
