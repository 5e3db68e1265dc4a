import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import bcrypt from 'bcrypt'
import { verifyPassword } from '#access/passwords/bcrypt.ts'
import { Htpasswd, RELOAD_CHECK_MS, setHtpasswdUser } from '#access/passwords/htpasswd.ts'
import {
  HASHES_CONCURRENT_MAX,
  HASHES_WAITING_MAX,
  PASSED_CACHE_MS,
} from '#access/passwords/password-checks.ts'
import { OciError } from '#oci/errors.ts'
import type { Log, LogFields } from '#telemetry/log.ts'

/** As `htpasswd -nbB` of Apache 2.4 writes it, cost 5. */
const hashWith = (version: string, password: string, cost: number) =>
  bcrypt.hashSync(password, cost).replace('$2b$', `$${version}$`)

const APACHE_LINE = 'u:$2y$05$Ewkgo7/HC/fNvp4A3dgBxOz1IKrwQewxPRlUSxdwPpV28wWrVi0Oi'
const APACHE_PASSWORD = 'a:b'
const quick = (user: string, password: string) => `${user}:${hashWith('2y', password, 4)}\n`

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'htpasswd-'))
  t.after(() => rmSync(path, { recursive: true }))
  return path
}

/** A log that keeps its lines. */
function listLog(lines: { level: string; msg: string; fields: LogFields | undefined }[]): Log {
  const at = (level: string) => (msg: string, fields?: LogFields) => void lines.push({ level, msg, fields })
  const log: Log = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    enabled: () => true,
    child: () => log,
  }
  return log
}

async function opened(t: TestContext, content: string | undefined) {
  const file = join(folder(t), 'auth', 'htpasswd')
  const lines: { level: string; msg: string; fields: LogFields | undefined }[] = []
  const created: { file: string; user: string; password: string }[] = []
  const verified: string[] = []
  let now = 0
  if (content !== undefined) {
    await setHtpasswdUser(file, 'x', 'x')
    writeFileSync(file, content)
  }
  const htpasswd = await Htpasswd.open({
    file,
    log: listLog(lines),
    onCreated: (made) => created.push(made),
    now: () => now,
    verify(password, hashed) {
      verified.push(hashed)
      return verifyPassword(password, hashed)
    },
  })
  const later = (ms: number) => {
    now += ms
  }
  return { file, lines, created, verified, htpasswd, later }
}

const errors = (lines: { level: string }[]) => lines.filter(({ level }) => level === 'error').length

test('what Apache htpasswd -B wrote lets its user in, with a colon in the password', async (t) => {
  const { htpasswd } = await opened(t, `# users\n\n${APACHE_LINE}\n`)
  assert.equal(await htpasswd.check('u', APACHE_PASSWORD), true)
  assert.equal(await htpasswd.check('u', 'a'), false)
  assert.equal(await htpasswd.check('U', APACHE_PASSWORD), false)
  assert.equal(await htpasswd.check('u', ''), false)
})

test('the three prefixes of bcrypt are accepted, and line ends of every kind', async (t) => {
  const lines = (['2a', '2b', '2y'] as const).map((version) => `${version}:${hashWith(version, 'pw', 4)}`)
  const { htpasswd } = await opened(t, lines.join('\r\n'))
  for (const user of ['2a', '2b', '2y']) assert.equal(await htpasswd.check(user, 'pw'), true)
})

test('other kinds of hashes and absurd costs are ignored, with a warning that names the user', async (t) => {
  const absurd = hashWith('2b', 'pw', 4).replace('$04$', '$31$')
  const content = `md5:$apr1$abc$def\nsha:{SHA}abc\nplain:pw\nslow:${absurd}\n${quick('fine', 'pw')}`
  const { htpasswd, lines } = await opened(t, content)
  const warned = lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields?.['user'])
  assert.deepEqual(warned, ['md5', 'sha', 'plain', 'slow'])
  assert.equal(await htpasswd.check('plain', 'pw'), false)
  assert.equal(await htpasswd.check('slow', 'pw'), false)
  assert.equal(await htpasswd.check('fine', 'pw'), true)
})

test('the last line of a user counts', async (t) => {
  const { htpasswd } = await opened(t, quick('u', 'old') + quick('u', 'new'))
  assert.equal(await htpasswd.check('u', 'old'), false)
  assert.equal(await htpasswd.check('u', 'new'), true)
})

test('a missing file is made, readable to its owner only, with a user whose password is told once', async (t) => {
  const { file, htpasswd, created, lines } = await opened(t, undefined)
  const [made] = created
  assert.ok(made)
  assert.equal(created.length, 1)
  assert.equal(made.user, 'docker')
  assert.ok(made.password.length >= 32)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.equal(await htpasswd.check('docker', made.password), true)
  assert.equal(JSON.stringify(lines).includes(made.password), false)
  assert.equal(readFileSync(file, 'utf8').includes(made.password), false)
  const again = await Htpasswd.open({ file, log: listLog([]), onCreated: () => assert.fail('made twice') })
  assert.equal(await again.check('docker', made.password), true)
})

for (const [what, content] of [
  ['a line without a colon', 'nonsense\n'],
  ['a line without a user', ':$2y$05$abc\n'],
  ['a torn hash', `${APACHE_LINE.slice(0, 40)}\n`],
])
  test(`the start fails on ${what}, and says where it is`, async (t) => {
    const file = join(folder(t), 'htpasswd')
    writeFileSync(file, `# one\n${content}`)
    const opening = Htpasswd.open({ file, log: listLog([]), onCreated: () => {} })
    await assert.rejects(opening, new RegExp(`${file} line 2`))
  })

test('the start fails on a folder in place of the file, and names it', async () => {
  const opening = Htpasswd.open({ file: import.meta.dirname, log: listLog([]), onCreated: () => {} })
  await assert.rejects(opening, {
    message: /passwords is a folder: auth\.htpasswd\.path/,
  })
})

test('a change of the file counts within a second, also for somebody who was let in before', async (t) => {
  const { file, htpasswd, later } = await opened(t, quick('a', 'pw') + quick('b', 'pw'))
  assert.equal(await htpasswd.check('a', 'pw'), true)
  writeFileSync(file, quick('a', 'other') + quick('c', 'pw'))
  later(RELOAD_CHECK_MS)
  assert.equal(await htpasswd.check('a', 'pw'), false)
  assert.equal(await htpasswd.check('a', 'other'), true)
  assert.equal(await htpasswd.check('b', 'pw'), false)
  assert.equal(await htpasswd.check('c', 'pw'), true)
})

test('the file is looked at once a second at most, and at once when asked to', async (t) => {
  const { file, htpasswd, later } = await opened(t, quick('a', 'pw'))
  writeFileSync(file, quick('b', 'pw'))
  later(RELOAD_CHECK_MS - 1)
  assert.equal(await htpasswd.check('b', 'pw'), false)
  await htpasswd.reload()
  assert.equal(await htpasswd.check('b', 'pw'), true)
})

test('a file that is replaced by another of the same size and time is noticed', async (t) => {
  const { file, htpasswd, later } = await opened(t, quick('a', 'pw'))
  const { size, atime, mtime } = statSync(file)
  const other = quick('b', 'pw')
  assert.equal(other.length, size)
  writeFileSync(`${file}.new`, other)
  utimesSync(`${file}.new`, atime, mtime)
  renameSync(`${file}.new`, file)
  later(RELOAD_CHECK_MS)
  assert.equal(await htpasswd.check('b', 'pw'), true)
})

test('a broken edit, or no file at all, keeps the last good content and is told once', async (t) => {
  const { file, htpasswd, later, lines } = await opened(t, quick('a', 'pw'))
  writeFileSync(file, `${quick('a', 'other')}oops\n`)
  for (let look = 0; look < 3; look++) {
    later(RELOAD_CHECK_MS)
    assert.equal(await htpasswd.check('a', 'pw'), true)
  }
  assert.equal(errors(lines), 1)
  rmSync(file)
  for (let look = 0; look < 3; look++) {
    later(RELOAD_CHECK_MS)
    assert.equal(await htpasswd.check('a', 'pw'), true)
  }
  assert.equal(errors(lines), 2)
  writeFileSync(file, quick('a', 'third'))
  later(RELOAD_CHECK_MS)
  assert.equal(await htpasswd.check('a', 'third'), true)
  assert.equal(errors(lines), 2)
})

test('an unknown user costs one verification at the cost that most users have (CVE-2020-13794, CVE-2023-20902)', async (t) => {
  const eight = hashWith('2b', 'pw', 5)
  const { htpasswd, verified } = await opened(t, `a:${eight}\nb:${eight}\n${quick('c', 'pw')}`)
  assert.equal(await htpasswd.check('nobody', 'pw'), false)
  assert.equal(await htpasswd.check('nobody', 'pw'), false)
  assert.equal(await htpasswd.check('a', 'wrong'), false)
  assert.equal(await htpasswd.check('a', 'wrong'), false)
  assert.deepEqual(
    verified.map((hashed) => hashed.slice(4, 6)),
    ['05', '05', '05', '05'],
  )
})

test('a success is remembered for a while; a failure is not', async (t) => {
  const { htpasswd, verified, later } = await opened(t, quick('a', 'pw'))
  for (let n = 0; n < 5; n++) assert.equal(await htpasswd.check('a', 'pw'), true)
  assert.equal(verified.length, 1)
  for (let n = 0; n < 3; n++) assert.equal(await htpasswd.check('a', 'no'), false)
  assert.equal(verified.length, 4)
  later(PASSED_CACHE_MS)
  assert.equal(await htpasswd.check('a', 'pw'), true)
  assert.equal(verified.length, 5)
})

test('a change of another entry does not forget who was let in', async (t) => {
  const mine = quick('a', 'pw')
  const { file, htpasswd, verified, later } = await opened(t, mine)
  assert.equal(await htpasswd.check('a', 'pw'), true)
  writeFileSync(file, mine + quick('b', 'pw'))
  later(RELOAD_CHECK_MS)
  assert.equal(await htpasswd.check('a', 'pw'), true)
  assert.equal(verified.length, 1)
})

test('connections that bring one password at once share one verification', async (t) => {
  const { htpasswd, verified } = await opened(t, quick('a', 'pw'))
  const answers = await Promise.all(Array.from({ length: 20 }, () => htpasswd.check('a', 'pw')))
  assert.deepEqual(new Set(answers), new Set([true]))
  assert.equal(verified.length, 1)
})

test('a flood of guesses is bounded: the rest is told to come back', async (t) => {
  const { htpasswd } = await opened(t, quick('a', 'pw'))
  const room = HASHES_CONCURRENT_MAX + HASHES_WAITING_MAX
  const guesses = Array.from({ length: room + 10 }, (_, n) => htpasswd.check('a', `guess ${n}`))
  const results = await Promise.allSettled(guesses)
  const refused = results.filter(({ status }) => status === 'rejected')
  assert.equal(refused.length, 10)
  for (const result of refused) {
    const { reason } = result as PromiseRejectedResult
    assert.ok(reason instanceof OciError && reason.reason === 'TOO_MANY_REQUESTS')
    assert.equal(reason.headers['Retry-After'], '1')
  }
  assert.equal(await htpasswd.check('a', 'pw'), true)
})

test('somebody whose entry went while the password was checked is not let in', async (t) => {
  const file = join(folder(t), 'htpasswd')
  const b = quick('b', 'pw')
  writeFileSync(file, quick('a', 'pw') + b)
  const htpasswd: Htpasswd = await Htpasswd.open({
    file,
    log: listLog([]),
    onCreated: () => {},
    async verify(password, hashed) {
      writeFileSync(file, b)
      await htpasswd.reload()
      return verifyPassword(password, hashed)
    },
  })
  assert.equal(await htpasswd.check('a', 'pw'), false)
  assert.equal(await htpasswd.check('b', 'pw'), true)
})

test('setting a user adds or replaces that line alone, leaves nothing else behind, and Apache reads it', async (t) => {
  const path = folder(t)
  const file = join(path, 'deep', 'htpasswd')
  await setHtpasswdUser(file, 'a', 'first')
  assert.equal(statSync(file).mode & 0o777, 0o600)
  writeFileSync(file, `# ours\n${readFileSync(file, 'utf8')}md5:$apr1$x$y`)
  chmodSync(file, 0o644)
  await setHtpasswdUser(file, 'b', 'pw:with:colons')
  await setHtpasswdUser(file, 'a', 'second')
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const lines = readFileSync(file, 'utf8').split('\n')
  assert.deepEqual(
    lines.map((line) => line.split(':')[0]),
    ['# ours', 'md5', 'b', 'a', ''],
  )
  assert.match(lines[3] ?? '', /^a:\$2y\$10\$/)
  assert.deepEqual(readdirSync(join(path, 'deep')), ['htpasswd'])
  const htpasswd = await Htpasswd.open({ file, log: listLog([]), onCreated: () => {} })
  assert.equal(await htpasswd.check('a', 'first'), false)
  assert.equal(await htpasswd.check('a', 'second'), true)
  assert.equal(await htpasswd.check('b', 'pw:with:colons'), true)
})

test('Apache htpasswd agrees with what is written here', {
  skip: !existsSync('/usr/bin/htpasswd') && 'htpasswd is not installed',
}, async (t) => {
  const file = join(folder(t), 'htpasswd')
  await setHtpasswdUser(file, 'ä', 'pässwörd')
  execFileSync('/usr/bin/htpasswd', ['-vb', file, 'ä', 'pässwörd'], { stdio: 'pipe' })
  assert.throws(() => execFileSync('/usr/bin/htpasswd', ['-vb', file, 'ä', 'wrong'], { stdio: 'pipe' }))
  execFileSync('/usr/bin/htpasswd', ['-bB', file, 'b', 'pw'], { stdio: 'pipe' })
  const htpasswd = await Htpasswd.open({ file, log: listLog([]), onCreated: () => {} })
  assert.equal(await htpasswd.check('b', 'pw'), true)
  assert.equal(await htpasswd.check('ä', 'pässwörd'), true)
})

test('a link to the file stays a link', async (t) => {
  const path = folder(t)
  writeFileSync(join(path, 'real'), '')
  symlinkSync('real', join(path, 'link'))
  await setHtpasswdUser(join(path, 'link'), 'a', 'pw')
  assert.match(readFileSync(join(path, 'real'), 'utf8'), /^a:/)
  assert.deepEqual(readdirSync(path).sort(), ['link', 'real'])
})

for (const [user, password] of [
  ['', 'pw'],
  ['a:b', 'pw'],
  ['a\nb', 'pw'],
  ['#a', 'pw'],
  [' a', 'pw'],
  ['a'.repeat(256), 'pw'],
  ['a', ''],
  ['a', 'x'.repeat(73)],
  ['a', 'x\0y'],
] as const)
  test(`the user ${JSON.stringify(user.slice(0, 9))} with the password ${JSON.stringify(password.slice(0, 9))} cannot be set`, async (t) => {
    const file = join(folder(t), 'htpasswd')
    await assert.rejects(setHtpasswdUser(file, user, password), Error)
    assert.equal(existsSync(file), false)
  })
