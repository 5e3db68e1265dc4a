// Rules inside projects, immutable tags, quotas with what is counted against them, limits of rate; who made a robot.
import { type Kysely, SqliteAdapter, sql } from 'kysely'
import type { Tables } from '#db/schema.ts'

export async function up(db: Kysely<Tables>): Promise<void> {
  await addColumns(db)
  await createRuleTables(db)
  await createCountingTables(db)
  const isSqlite = db.getExecutor().adapter instanceof SqliteAdapter
  for (const trigger of usageTriggers(isSqlite ? addToTotal : addDelta)) {
    for (const statement of isSqlite ? [sqliteTrigger(trigger)] : postgresTrigger(trigger))
      await sql.raw(statement).execute(db)
  }
  await countWhatIsThere(db)
}

async function addColumns(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .alterTable('repositories')
    .addColumn('project', 'text', (column) => column.notNull().defaultTo(''))
    .execute()
  // The first component; how deep a project may be is only known, and put right, at the start.
  for (const { id, name } of await db.selectFrom('repositories').select(['id', 'name']).execute()) {
    const slash = name.indexOf('/')
    const project = slash < 0 ? 'library' : name.slice(0, slash)
    await db.updateTable('repositories').set({ project }).where('id', '=', id).execute()
  }
  await db.schema
    .createIndex('repositories_project')
    .on('repositories')
    .columns(['project', 'name'])
    .execute()
  for (const table of ['repository_blobs', 'manifests'] as const)
    await db.schema.alterTable(table).addColumn('pushed_by', 'bigint').execute()
  await db.schema
    .alterTable('robots')
    .addColumn('created_by', 'integer', (column) => column.references('users.id').onDelete('set null'))
    .execute()
  await db.schema.createIndex('robots_created_by').on('robots').column('created_by').execute()
}

async function createRuleTables(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable('access_rules')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('project_id', 'integer', (column) =>
      column.notNull().references('projects.id').onDelete('cascade'),
    )
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('effect', 'text', (column) => column.notNull())
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('rights', 'text', (column) => column.notNull())
    .addColumn('user_id', 'integer', (column) => column.references('users.id').onDelete('cascade'))
    .addColumn('group_id', 'integer', (column) => column.references('groups.id').onDelete('cascade'))
    .addColumn('robot_id', 'integer', (column) => column.references('robots.id').onDelete('cascade'))
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addColumn('version', 'integer', (column) => column.notNull().defaultTo(1))
    .addUniqueConstraint('access_rules_name', ['project_id', 'name'])
    .execute()
  for (const column of ['user_id', 'group_id', 'robot_id'])
    await db.schema.createIndex(`access_rules_${column}`).on('access_rules').column(column).execute()

  await db.schema
    .createTable('immutability_rules')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('project_id', 'integer', (column) =>
      column.notNull().references('projects.id').onDelete('cascade'),
    )
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('tag', 'text', (column) => column.notNull())
    .addColumn('except_repositories', 'text', (column) => column.notNull())
    .addColumn('except_tags', 'text', (column) => column.notNull())
    .addColumn('disabled', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addColumn('version', 'integer', (column) => column.notNull().defaultTo(1))
    .addUniqueConstraint('immutability_rules_name', ['project_id', 'name'])
    .execute()
}

async function createCountingTables(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable('quotas')
    .addColumn('scope', 'text', (column) => column.primaryKey())
    .addColumn('bytes', 'bigint')
    .addColumn('repositories', 'bigint')
    .addColumn('tags', 'bigint')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addColumn('version', 'integer', (column) => column.notNull().defaultTo(1))
    .execute()
  await db.schema
    .createTable('blob_holds')
    .addColumn('blob_id', 'integer', (column) => column.notNull().references('blobs.id').onDelete('cascade'))
    .addColumn('project', 'text', (column) => column.notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('user_id', 'integer', (column) => column.references('users.id').onDelete('set null'))
    .addPrimaryKeyConstraint('blob_holds_key', ['blob_id', 'project'])
    .modifyEnd(sql`without rowid`)
    .execute()
  await db.schema.createIndex('blob_holds_project').on('blob_holds').column('project').execute()
  await sql`create index blob_holds_user on blob_holds (user_id) where user_id is not null`.execute(db)
  await db.schema
    .createTable('usage_totals')
    .addColumn('scope', 'text', (column) => column.primaryKey())
    .addColumn('bytes', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('repositories', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('tags', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('warned_at', 'bigint')
    .modifyEnd(sql`without rowid`)
    .execute()
  await db.schema
    .createTable('usage_deltas')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('scope', 'text', (column) => column.notNull())
    .addColumn('bytes', 'bigint', (column) => column.notNull())
    .addColumn('repositories', 'bigint', (column) => column.notNull())
    .addColumn('tags', 'bigint', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('usage_deltas_scope').on('usage_deltas').column('scope').execute()
  await db.schema
    .createTable('rate_counts')
    .addColumn('key', 'text', (column) => column.notNull())
    .addColumn('window_start', 'bigint', (column) => column.notNull())
    .addColumn('amount', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('rate_counts_key', ['key', 'window_start'])
    .modifyEnd(sql`without rowid`)
    .execute()
  await db.schema.createIndex('rate_counts_window').on('rate_counts').column('window_start').execute()
}

interface Trigger {
  readonly name: string
  /** `insert on tags` */
  readonly event: string
  readonly when?: string
  /** Where many write at once: who adds a holder of the blob waits for whoever looks whether there is none, and he for them. */
  readonly lock?: 'adds a holder' | 'looks for holders'
  readonly statements: readonly string[]
}

interface Change {
  /** SQL of the scope. */
  readonly scope: string
  readonly bytes?: string
  readonly repositories?: string
  readonly tags?: string
}

type Count = (change: Change) => string

function addToTotal({ scope, bytes = '0', repositories = '0', tags = '0' }: Change): string {
  return `insert into usage_totals (scope, bytes, repositories, tags)
    values (${scope}, ${bytes}, ${repositories}, ${tags})
    on conflict (scope) do update set bytes = usage_totals.bytes + excluded.bytes,
      repositories = usage_totals.repositories + excluded.repositories, tags = usage_totals.tags + excluded.tags`
}

function addDelta({ scope, bytes = '0', repositories = '0', tags = '0' }: Change): string {
  return `insert into usage_deltas (scope, bytes, repositories, tags)
    values (${scope}, ${bytes}, ${repositories}, ${tags})`
}

const REGISTRY = "'registry'"
const projectOf = (row: 'new' | 'old') =>
  `'project:' || (select project from repositories where id = ${row}.repository_id)`

/** Whoever links, unlinks, pushes or deletes, by whatever way: what is counted follows in the same transaction. */
function usageTriggers(count: Count): Trigger[] {
  const holderScope = (row: 'new' | 'old') =>
    `case ${row}.project when '' then ${REGISTRY} else 'project:' || ${row}.project end`
  return [
    ...(['repository_blobs', 'manifests'] as const).flatMap((table): Trigger[] => [
      {
        name: `usage_${table}_added`,
        event: `insert on ${table}`,
        lock: 'adds a holder',
        statements: HOLD,
      },
      {
        name: `usage_${table}_removed`,
        event: `delete on ${table}`,
        lock: 'looks for holders',
        statements: RELEASE,
      },
    ]),
    {
      name: 'usage_holds_added',
      event: 'insert on blob_holds',
      statements: [count({ scope: holderScope('new'), bytes: 'new.size' })],
    },
    {
      name: 'usage_holds_removed',
      event: 'delete on blob_holds',
      statements: [count({ scope: holderScope('old'), bytes: '-old.size' })],
    },
    {
      name: 'usage_holds_resized',
      event: 'update of size on blob_holds',
      when: 'old.size <> new.size',
      statements: [count({ scope: holderScope('new'), bytes: 'new.size - old.size' })],
    },
    {
      name: 'usage_owned_added',
      event: 'insert on blob_holds',
      when: 'new.user_id is not null',
      statements: [count({ scope: "'user:' || new.user_id", bytes: 'new.size' })],
    },
    {
      name: 'usage_owned_removed',
      event: 'delete on blob_holds',
      when: 'old.user_id is not null',
      statements: [count({ scope: "'user:' || old.user_id", bytes: '-old.size' })],
    },
    {
      name: 'usage_owned_resized',
      event: 'update of size on blob_holds',
      when: 'old.size <> new.size and new.user_id is not null',
      statements: [count({ scope: "'user:' || new.user_id", bytes: 'new.size - old.size' })],
    },
    {
      name: 'usage_blobs_resized',
      event: 'update of size on blobs',
      when: 'old.size <> new.size',
      statements: ['update blob_holds set size = new.size where blob_id = new.id'],
    },
    ...(['new', 'old'] as const).flatMap((row): Trigger[] => {
      const [event, one] = row === 'new' ? ['insert', '1'] : ['delete', '-1']
      const listed = [
        count({ scope: `'project:' || ${row}.project`, repositories: one }),
        count({ scope: REGISTRY, repositories: one }),
      ]
      return [
        {
          name: `usage_tags_${event}`,
          event: `${event} on tags`,
          statements: [count({ scope: projectOf(row), tags: one }), count({ scope: REGISTRY, tags: one })],
        },
        {
          name: `usage_repositories_${event}`,
          event: `${event} on repositories`,
          when: `${row}.listed = 1`,
          statements: listed,
        },
        {
          name: `usage_repositories_${row === 'new' ? 'listed' : 'unlisted'}`,
          event: 'update of listed on repositories',
          when: `old.listed <> new.listed and ${row}.listed = 1`,
          statements: listed,
        },
      ]
    }),
  ]
}

const HOLD = [
  `insert into blob_holds (blob_id, project, size, user_id)
    select b.id, r.project, b.size, (select id from users where id = new.pushed_by)
    from repositories r, blobs b where r.id = new.repository_id and b.id = new.blob_id
    on conflict do nothing`,
  `insert into blob_holds (blob_id, project, size)
    select b.id, '', b.size from blobs b where b.id = new.blob_id
    on conflict do nothing`,
]

const RELEASE = [
  `delete from blob_holds where blob_id = old.blob_id
    and project = (select project from repositories where id = old.repository_id)
    and not exists (select 1 from repository_blobs x join repositories r on r.id = x.repository_id
      where x.blob_id = old.blob_id and r.project = blob_holds.project)
    and not exists (select 1 from manifests x join repositories r on r.id = x.repository_id
      where x.blob_id = old.blob_id and r.project = blob_holds.project)`,
  `delete from blob_holds where blob_id = old.blob_id and project = ''
    and not exists (select 1 from blob_holds h where h.blob_id = old.blob_id and h.project <> '')`,
]

function sqliteTrigger({ name, event, when, statements }: Trigger): string {
  const condition = when === undefined ? '' : ` when ${when}`
  return `create trigger ${name} after ${event}${condition} begin ${statements.join('; ')}; end`
}

/** "Stox", beside the locks of transactions; blobs share some, for a server has room for some thousands. */
const LOCK_SPACE = 0x53746f78
const BLOB_LOCKS = 4_096

function postgresLock(lock: NonNullable<Trigger['lock']>): string {
  const [mode, row] = lock === 'adds a holder' ? ['_shared', 'new'] : ['', 'old']
  return `perform pg_advisory_xact_lock${mode}(${LOCK_SPACE}, (${row}.blob_id % ${BLOB_LOCKS})::int); `
}

function postgresTrigger({ name, event, when, lock, statements }: Trigger): string[] {
  const condition = when === undefined ? '' : ` when (${when})`
  const body = `${lock ? postgresLock(lock) : ''}${statements.join('; ')}`
  return [
    `create function ${name}() returns trigger language plpgsql as $$ begin ${body}; return null; end $$`,
    `create trigger ${name} after ${event} for each row${condition} execute function ${name}()`,
  ]
}

async function countWhatIsThere(db: Kysely<Tables>): Promise<void> {
  for (const table of ['repository_blobs', 'manifests']) {
    await sql`insert into blob_holds (blob_id, project, size)
      select distinct b.id, r.project, b.size
      from ${sql.table(table)} x join repositories r on r.id = x.repository_id join blobs b on b.id = x.blob_id
      where true on conflict do nothing`.execute(db)
  }
  await sql`insert into blob_holds (blob_id, project, size)
    select distinct blob_id, '', size from blob_holds where project <> ''`.execute(db)
  for (const [scope, group] of [
    [sql`'project:' || r.project`, sql`group by r.project`],
    [sql`'registry'`, sql``],
  ] as const) {
    await sql`insert into usage_deltas (scope, bytes, repositories, tags)
      select ${scope}, 0, sum(r.listed), 0 from repositories r ${group} having sum(r.listed) > 0`.execute(db)
    await sql`insert into usage_deltas (scope, bytes, repositories, tags)
      select ${scope}, 0, 0, count(*) from tags t join repositories r on r.id = t.repository_id ${group}
      having count(*) > 0`.execute(db)
  }
}
