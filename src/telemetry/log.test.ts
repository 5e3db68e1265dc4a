import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  type LogFormat,
  type LogLevel,
  type OpenLog,
  openLog,
  parseLogLevel,
  silentLog,
} from '#telemetry/log.ts'
import { LOG_BUFFER_BYTES_MAX, LOG_FLUSH_MS_MAX, LogDestination } from '#telemetry/log-destination.ts'
import { isSecretName, LOG_FIELD_CHARS_MAX, LOG_FIELD_MEMBERS_MAX, REDACTED } from '#telemetry/log-fields.ts'

const NOW = Date.UTC(2026, 0, 31, 8, 15)
const TIME = '2026-01-31T08:15:00.000Z'

/** A log into a file, and what it has written so far. */
function fileLog(t: TestContext, format: LogFormat, level: LogLevel = 'info', fields = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'log-'))
  const file = join(folder, 'log')
  const fd = openSync(file, 'w')
  t.after(() => {
    closeSync(fd)
    rmSync(folder, { recursive: true })
  })
  const log = openLog({ level, format, fields, fd, now: () => NOW })
  const written = async () => {
    await log.flush()
    return readFileSync(file, 'utf8')
  }
  const objects = async () =>
    (await written())
      .trimEnd()
      .split('\n')
      .map((line): Record<string, unknown> => JSON.parse(line))
  return { log, written, objects, file }
}

const everyLevel = (log: OpenLog) => {
  log.debug('d')
  log.info('i')
  log.warn('w')
  log.error('e')
}

test('a line of text is what logrus writes: time, level and message, then the fields by name', async (t) => {
  const { log, written } = fileLog(t, 'text', 'info', { service: 'registry', env: 'a b' })
  log.info('listening', { addr: ':5000', tls: false, n: 3, list: ['a'], none: undefined, nothing: null })
  log.warn('quoted "x"')
  assert.equal(
    await written(),
    `time="${TIME}" level=info msg="listening" addr=":5000" env="a b" list="[\\"a\\"]" n=3 nothing=null service=registry tls=false\n` +
      `time="${TIME}" level=warning msg="quoted \\"x\\"" env="a b" service=registry\n`,
  )
})

test('a line of JSON has level, time, fields and msg', async (t) => {
  const { log, objects } = fileLog(t, 'json', 'info', { service: 'registry' })
  log.error('failed', { status: 500, nested: { a: [1] } })
  assert.deepEqual(await objects(), [
    { level: 'error', time: TIME, service: 'registry', status: 500, nested: { a: [1] }, msg: 'failed' },
  ])
})

test('a line for logstash has @timestamp, @version and message', async (t) => {
  const { log, objects } = fileLog(t, 'logstash', 'info', { service: 'registry' })
  log.warn('slow', { ms: 5 })
  assert.deepEqual(await objects(), [
    { level: 'warning', '@timestamp': TIME, '@version': '1', service: 'registry', ms: 5, message: 'slow' },
  ])
})

for (const format of ['text', 'json', 'logstash'] as const) {
  test(`${format}: the level decides what is written, and enabled says so beforehand`, async (t) => {
    const counts: Record<string, number> = { debug: 4, trace: 4, info: 3, warn: 2, error: 1, fatal: 0 }
    for (const [level, expected] of Object.entries(counts)) {
      const { log, written } = fileLog(t, format, level as LogLevel)
      everyLevel(log)
      assert.equal((await written()).split('\n').length - 1, expected, level)
      assert.equal(log.enabled('debug'), expected === 4)
      assert.equal(log.enabled('error'), expected >= 1)
      assert.equal(log.child({ a: 1 }).enabled('info'), expected >= 3)
    }
  })

  test(`${format}: a child's fields are on its lines, and each name stands once`, async (t) => {
    const { log, written } = fileLog(t, format, 'info', { service: 'registry' })
    const child = log.child({ request: 'r1', a: 1 }).child({ a: 2 })
    child.info('x', { a: 3, service: 'other' })
    child.info('y')
    const [first = '', second = ''] = (await written()).split('\n')
    for (const line of [first, second])
      for (const name of ['request', 'service', 'a'])
        assert.equal(line.match(new RegExp(`\\b${name}[="]`, 'g'))?.length, 1)
    assert.match(first, /a"?[=:]3/)
    assert.match(first, /other/)
    assert.match(second, /a"?[=:]2/)
    assert.match(second, /registry/)
  })

  test(`${format}: no secret is written, however deep it stands, bound or not`, async (t) => {
    const { log, written } = fileLog(t, format, 'info', { secret: 'hunter2' })
    const headers = {
      Authorization: 'hunter2',
      'set-cookie': 'hunter2',
      deep: [{ clientPassword: 'hunter2' }],
    }
    log
      .child({ access_token: 'hunter2' })
      .info('x', { headers, password: 'hunter2', url: new URL('http://u:hunter2@h/') })
    const text = await written()
    assert.ok(!text.includes('hunter2'))
    assert.ok(text.includes(REDACTED))
  })

  test(`${format}: whatever a client sends stays on one line, without control characters`, async (t) => {
    const { log, written } = fileLog(t, format)
    const evil = 'x\n\r\0\u001b[31m" level=error msg="forged'
    log.info(evil, { agent: evil, [evil]: 1 })
    const text = await written()
    assert.equal(text.split('\n').length, 2)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    assert.doesNotMatch(text.slice(0, -1), /[\u0000-\u001f]/)
    if (format !== 'text') assert.equal(JSON.parse(text).agent, evil)
  })

  test(`${format}: an error shows its causes and its stack`, async (t) => {
    const { log, written } = fileLog(t, format)
    log.error('failed', { error: new Error('outer', { cause: new TypeError('inner') }) })
    const text = await written()
    assert.match(text, /outer: inner/)
    assert.match(text, /error\.stack/)
    assert.match(text, /log\.test\.ts/)
  })
}

test('a field whose name belongs to the line is moved aside, as logrus does', async (t) => {
  const { log, objects } = fileLog(t, 'json')
  log.info('x', { time: 1, level: 2, msg: 3 })
  assert.deepEqual(await objects(), [
    { level: 'info', time: TIME, 'fields.time': 1, 'fields.level': 2, 'fields.msg': 3, msg: 'x' },
  ])
})

test('a field of any kind and size is written within bounds', async (t) => {
  const { log, objects } = fileLog(t, 'json')
  const loop: Record<string, unknown> = {}
  loop['loop'] = loop
  log.info('x', {
    loop,
    long: 'y'.repeat(1_000_000),
    many: Array(1_000_000).fill(0),
    bytes: new Uint8Array(1_000_000),
    big: 10n,
    date: new Date(NOW),
    bad: new Date(Number.NaN),
  })
  const [line = {}] = await objects()
  assert.equal(String(line['long']).length, LOG_FIELD_CHARS_MAX + 3)
  assert.equal((line['many'] as unknown[]).length, LOG_FIELD_MEMBERS_MAX)
  assert.deepEqual(
    [line['bytes'], line['big'], line['date'], line['bad']],
    ['[1000000 bytes]', '10', TIME, null],
  )
})

test('levels are read as registry:2 names them', () => {
  const expected: [string, LogLevel | undefined][] = [
    ['info', 'info'],
    ['WARN', 'warn'],
    ['warning', 'warn'],
    ['panic', 'fatal'],
    ['trace', 'trace'],
    ['loud', undefined],
    ['constructor', undefined],
    ['', undefined],
  ]
  for (const [text, level] of expected) assert.equal(parseLogLevel(text), level)
})

test('names of secrets are known by their end', () => {
  const secret = [
    'password',
    'Authorization',
    'proxy-authorization',
    'http.secret',
    'accessKey',
    'secret_key',
    'refreshToken',
    'Cookie',
  ]
  const open = ['user', 'digest', 'repository', 'tokens', 'key', 'secretary', 'passwordFile', 'etag']
  assert.deepEqual(secret.filter(isSecretName), secret)
  assert.deepEqual(open.filter(isSecretName), [])
})

test('a silent log takes everything and has nothing enabled', () => {
  const log = silentLog().child({ a: 1 })
  log.error('x', { b: 2 })
  assert.equal(log.enabled('fatal'), false)
})

test('lines beyond the buffer are dropped, and counted in a line of their own', async (t) => {
  const { log, objects } = fileLog(t, 'json')
  const line = 'z'.repeat(16_000)
  const lines = Math.ceil(LOG_BUFFER_BYTES_MAX / 16_000)
  for (let n = 0; n < lines; n++) log.info(line)
  const written = await objects()
  const last = written.at(-1) ?? {}
  assert.match(String(last['msg']), /dropped/)
  assert.equal(Number(last['lines']) + written.length - 1, lines)
})

test('a log without a reader stops neither the program nor its end', () => {
  const script = `
    import { openLog } from '#telemetry/log.ts'
    const log = openLog({ level: 'info', format: 'json', fd: 1 })
    for (let n = 0; n < 2000; n++) log.info('x'.repeat(100))
    await log.flush()
    log.info('more')
    log.flushSync()
    process.stderr.write('ended')
  `
  // The reader of the pipe is gone at once.
  const { stderr, signal } = spawnSync(
    '/bin/sh',
    ['-c', '"$0" --input-type=module -e "$1" | true', process.execPath, script],
    { stdio: ['ignore', 'ignore', 'pipe'], timeout: 20_000 },
  )
  assert.equal(signal, null)
  assert.equal(stderr.toString(), 'ended')
})

test('a reader that does not read costs the end no more than the named time, and no line before', async (t) => {
  const child = spawn('/bin/sh', ['-c', 'sleep 30'], { stdio: ['pipe', 'ignore', 'ignore'] })
  t.after(() => child.kill())
  const handle = (child.stdin as unknown as { _handle: { fd: number } })._handle
  const destination = new LogDestination(handle.fd, (lines) => `${lines} dropped\n`)
  for (let n = 0; n < 50; n++) destination.write(`${'x'.repeat(10_000)}\n`)
  const started = performance.now()
  await destination.flush()
  const waited = performance.now() - started
  assert.ok(waited >= LOG_FLUSH_MS_MAX * 0.9 && waited < LOG_FLUSH_MS_MAX * 5, String(waited))
})

test('flushSync writes what waits before the process dies', () => {
  const script = `
    import { openLog } from '#telemetry/log.ts'
    const log = openLog({ level: 'info', format: 'text', fd: 1 })
    log.error('last words')
    log.flushSync()
    process.kill(process.pid, 'SIGKILL')
  `
  let output = ''
  try {
    execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  } catch (error) {
    output = String((error as { stdout: Buffer }).stdout)
  }
  assert.match(output, /msg="last words"/)
})

test('a program that ends by itself has written its log', () => {
  const script = `
    import { openLog } from '#telemetry/log.ts'
    openLog({ level: 'info', format: 'text', fd: 1 }).info('only line')
  `
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script])
  assert.match(output.toString(), /msg="only line"/)
})
