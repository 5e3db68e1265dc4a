// `stowage admin` against a real server with users.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { appendFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { resetPassword } from '#access/management/reset-password.ts'
import { EXIT } from '#cli/output.ts'
import { openSqlite } from '#db/sqlite.ts'
import { findUser } from '#db/users.ts'
import { startServer, type TestServer } from '../http/server.ts'
import { makeLayout } from './made-layout.ts'
import { type Run, run, scratchFolder } from './run.ts'

const PASSWORD = 'correct horse battery'
const folder = scratchFolder()
const authfile = join(folder, 'auth.json')
let server: TestServer

before(async () => {
  server = await startServer({ adminPassword: PASSWORD, env: { REGISTRY_AUTH: 'stowage' }, onDisk: true })
})
after(async () => {
  await server[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

const admin = (args: readonly string[], password = ''): Promise<Run> =>
  run(['--authfile', authfile, 'admin', '--server', server.host, ...args], { password })

async function done(args: readonly string[], password = ''): Promise<string[]> {
  const { code, results, notes } = await admin(args, password)
  assert.equal(code, EXIT.ok, `${args.join(' ')}: ${notes.join('\n')}`)
  return results
}

test('who is not logged in is told how', async () => {
  const { code, notes } = await admin(['users', 'list'])
  assert.equal(code, EXIT.denied)
  assert.match(notes.join('\n'), /stowage login 127\.0\.0\.1/)
})

test('from a login to a robot that pushes', async () => {
  const login = ['--authfile', authfile, 'login', '-u', 'admin', server.host]
  assert.equal((await run(login, { password: PASSWORD })).code, EXIT.ok)
  await done(['users', 'add', 'alice', '--email', 'alice@example.com'], 'a good password')
  await done(['groups', 'add', 'devs'])
  await done(['groups', 'join', 'devs', 'alice'])
  await done(['projects', 'add', 'team'])
  await done(['members', 'set', 'team', 'group', 'devs', 'developer'])
  assert.deepEqual(await done(['users', 'list']), ['admin  admin', 'alice'])
  assert.deepEqual(await done(['members', 'list', 'team']), ['user  admin  owner', 'group  devs  developer'])
  const [secret = ''] = await done([
    'robots',
    'add',
    'ci',
    '--project',
    'team',
    '--allow',
    'team/**=pull,push',
  ])
  assert.match(secret, /^stw_r_/)
  const robotFile = join(folder, 'robot.json')
  const as = (file: string, args: readonly string[], password = '') =>
    run(['--authfile', file, '--quiet', ...args], { password })
  assert.equal((await as(robotFile, ['login', '-u', 'team+ci', server.host], secret)).code, EXIT.ok)
  const layout = await makeLayout(join(folder, 'layout'))
  const pushed = await as(robotFile, ['push', `${layout.folder}:1`, `${server.host}/team/app:1`])
  assert.equal(pushed.code, EXIT.ok, pushed.notes.join('\n'))
  const outside = await as(robotFile, ['push', `${layout.folder}:1`, `${server.host}/other/app:1`])
  assert.equal(outside.code, EXIT.denied)
  assert.match(outside.notes.join('\n'), /refused with 403/)
  await done(['robots', 'disable', 'team+ci'])
  assert.equal((await as(robotFile, ['list', `${server.host}/team/app`])).code, EXIT.denied)
})

test('users come out of an htpasswd file with their passwords, which are kept better after a login', async () => {
  const file = join(folder, 'htpasswd')
  const password = 'kept from registry:2'
  await run(['htpasswd', 'add', file, 'carol'], { password })
  await run(['htpasswd', 'add', file, 'alice'], { password })
  await appendFile(file, 'Dave:$apr1$x$y\nerin:{SHA}x\n')
  await run(['htpasswd', 'add', file, 'Frank'], { password })
  const wanted = {
    carol: 'imported',
    alice: 'exists',
    Dave: 'refused',
    erin: 'refused',
    Frank: 'refused',
  }
  for (const [args, carol] of [
    [['--dry-run'], 'imported'],
    [[], 'imported'],
    [[], 'exists'],
  ] as const) {
    const { code, results } = await admin(['--json', 'users', 'import', ...args, file])
    assert.equal(code, EXIT.failed)
    const outcomes = JSON.parse(results[0] ?? '') as { name: string; result: string }[]
    assert.deepEqual(
      Object.fromEntries(outcomes.map(({ name, result }) => [name, result])),
      { ...wanted, carol },
      args.join(),
    )
  }
  const login = (secret: string) =>
    run(['--authfile', join(folder, 'carol.json'), 'login', '-u', 'carol', server.host], { password: secret })
  assert.equal((await login('another')).code, EXIT.denied)
  assert.equal((await login(password)).code, EXIT.ok)
  const db = await openSqlite({ path: join(server.root, 'stowage/registry.sqlite') })
  try {
    assert.match((await findUser(db, 'carol'))?.passwordHash ?? '', /^\$argon2id\$/)
  } finally {
    await db.close()
  }
  assert.equal((await login(password)).code, EXIT.ok)
  const again = await admin(['users', 'import', file])
  assert.match(again.results.join('\n'), /^carol {2}exists$/m)
  assert.match(again.notes.join('\n'), /3 of 5 cannot be imported/)
  const missing = await admin(['users', 'import', join(folder, 'nothing')])
  assert.equal(missing.code, EXIT.notFound)
  assert.match(missing.notes.join('\n'), /no such file/)
})

test('what cannot be is said with what to do', async () => {
  const wrong: [readonly string[], number, RegExp][] = [
    [['members', 'set', 'team', 'usr', 'alice', 'guest'], EXIT.usage, /user or group/],
    [['members', 'set', 'team', 'user', 'alice', 'king'], EXIT.failed, /role/],
    [['robots', 'add', 'x', '--allow', 'team'], EXIT.usage, /PATTERN=pull,push/],
    [['robots', 'rotate', 'nobody'], EXIT.usage, /team\+ci/],
    [['users', 'disable', 'nobody'], EXIT.notFound, /the user nobody does not exist/],
    [['users', 'disable', 'admin'], EXIT.failed, /last admin/],
    [['keys', 'add', 'k', '--expires', 'soon'], EXIT.usage, /2027-01-31/],
  ]
  for (const [args, exit, said] of wrong) {
    const { code, notes } = await admin(args)
    assert.equal(code, exit, args.join(' '))
    assert.match(notes.join('\n'), said)
  }
})

test('repositories, their tags and the registry itself are shown, and repositories deleted', async () => {
  const [repository = ''] = await done(['repositories', 'list', '--sort=-size', '--project', 'team'])
  assert.match(repository, /^team\/app {2}.* tags {2}\S+Z$/)
  assert.match((await done(['repositories', 'tags', 'team/app'])).join('\n'), /^1 {2}.*sha256:/)
  assert.ok((await done(['system'])).includes('engine: sqlite'))
  await done(['repositories', 'remove', 'team/app'])
  assert.equal((await admin(['repositories', 'tags', 'team/app'])).code, EXIT.notFound)
})

test('the audit log is listed, exported and checked, and a place in it noted', async () => {
  await server.audit.seal()
  const [first = ''] = await done(['audit', 'list', '--action', 'robots.created', '--limit', '1'])
  assert.equal(first, '')
  const [robot = ''] = await done(['audit', 'list', '--action', 'projects.robots.created'])
  assert.match(robot, /^\S+Z {2}admin {2}projects\.robots\.created {2}ci {2}127\.0\.0\.1$/)
  const exported = (await done(['audit', 'export'])).map((line) => JSON.parse(line) as { position: number })
  assert.ok(exported.length > 5)
  const [told = '', place = ''] = await done(['audit', 'verify'])
  assert.match(told, /^\d+ entries from 1 to \d+ are as they were written$/)
  await done(['audit', 'verify', '--noted', place])
  const wrong = await admin(['audit', 'verify', '--noted', `1:${'0'.repeat(64)}`])
  assert.equal(wrong.code, EXIT.verification)
  assert.match(wrong.notes.join('\n'), /broken at 1: the chain is another one than was noted/)
})

test('the audit log of a registry that is stopped is checked and exported from its folder', async () => {
  await server.stop()
  const offline = async (...args: string[]) => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      'src/main.ts',
      ...args,
      '--data',
      server.root,
    ])
    return stdout.trimEnd().split('\n')
  }
  const [told] = await offline('audit', 'verify')
  assert.match(told ?? '', /entries from 1 to \d+ are as they were written/)
  const lines = await offline('admin', 'audit', 'export')
  const path = join(server.root, 'stowage/registry.sqlite')
  const db = await openSqlite({ path })
  await db.transaction((tx) =>
    tx.kysely.deleteFrom('audit_entries').where('position', '=', 2).executeTakeFirst(),
  )
  await db.close()
  await assert.rejects(offline('audit', 'verify'), /broken at 2: an entry is missing/)
  assert.equal((await offline('admin', 'audit', 'export')).length, lines.length - 1)
  await server.start()
})

test('a lost password is set in the folder of the registry that is stopped', async () => {
  await server.stop()
  const db = await openSqlite({ path: join(server.root, 'stowage/registry.sqlite') })
  await assert.rejects(resetPassword(db, 'admin', 'short', Date.now()), /at least 8/)
  await assert.rejects(resetPassword(db, 'nobody', 'a good new one', Date.now()), /no user nobody/)
  await resetPassword(db, 'admin', 'a good new one', Date.now())
  await db.close()
  await server.start()
  const login = (password: string) =>
    run(['--authfile', join(folder, 'later.json'), 'login', '-u', 'admin', server.host], { password })
  assert.equal((await login(PASSWORD)).code, EXIT.denied)
  assert.equal((await login('a good new one')).code, EXIT.ok)
})
