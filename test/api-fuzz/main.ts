// npm run api-fuzz: schemathesis reads our OpenAPI document and sends what it allows, and what it does not, to a server of ours.
// Fails on a 500, on a status or media type that the document does not name, and on a body that is not as it says.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { freePort } from '../processes/free-port.ts'
import { RunningProcess } from '../processes/running.ts'
import { isExecutable } from '../tools/find-program.ts'
import { schemathesisPath } from '../tools/python-tools.ts'

const HELP = `npm run api-fuzz -- [options]
  --seconds N     how long it may take, 120 when absent
  --examples N    cases of each operation, 20 when absent
  --seed N        repeats a run
`
const PASSWORD = 'fuzzed but never guessed'
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
]
/** They would end the login that the run goes on with. */
const LEFT_OUT = '^/me/password$|^/users/[^/]+/password$|^/me/sessions'
const ROOT = join(import.meta.dirname, '..', '..')

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    examples: { type: 'string', default: '20' },
    seed: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<number> {
  const program = schemathesisPath()
  if (!isExecutable(program))
    throw new Error(`schemathesis is not installed at ${program}: run node test/tools/install.ts python`)
  const folder = await mkdtemp(join(tmpdir(), 'stowage-api-fuzz-'))
  const base = `http://127.0.0.1:${await freePort()}`
  const server = await RunningProcess.start(
    'stowage',
    process.execPath,
    [join(ROOT, 'bin', 'stowage.js'), 'serve'],
    {
      env: {
        REGISTRY_AUTH: 'stowage',
        REGISTRY_HTTP_ADDR: new URL(base).host,
        REGISTRY_LOG_LEVEL: 'error',
        REGISTRY_LOG_ACCESSLOG_DISABLED: 'true',
        REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: join(folder, 'store'),
        STOWAGE_ADMIN_PASSWORD: PASSWORD,
      },
    },
  )
  try {
    await server.untilAnswers(`${base}/readyz`)
    const authorization = `Basic ${Buffer.from(`admin:${PASSWORD}`).toString('base64')}`
    const document = await fetch(`${base}/api/v1/openapi.json`, { headers: { authorization } })
    if (!document.ok) throw new Error(`openapi.json: ${document.status} ${await document.text()}`)
    const work = join(folder, 'work')
    await mkdir(work)
    await writeFile(join(work, 'openapi.json'), await document.text())
    const child = spawn(
      program,
      [
        'run',
        'openapi.json',
        ...['--url', `${base}/api/v1`],
        ...['--header', `Authorization: ${authorization}`],
        ...['--checks', CHECKS.join(',')],
        ...['--exclude-path-regex', LEFT_OUT],
        ...['--phases', 'coverage,fuzzing'],
        ...['--max-examples', values.examples],
        ...['--max-time', values.seconds],
        ...['--warnings', 'off', '--no-color', '--continue-on-failure'],
        ...(values.seed === undefined ? [] : ['--seed', values.seed]),
      ],
      { cwd: work, stdio: 'inherit' },
    )
    const [code] = await once(child, 'exit')
    return code ?? 1
  } finally {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

if (values.help) {
  process.stdout.write(HELP)
} else {
  try {
    process.exitCode = await main()
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
