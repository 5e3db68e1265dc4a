// The published package: built, packed, installed into an empty folder, and used as somebody who has nothing else would.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { makeLayout } from '../cli/made-layout.ts'
import { scratchFolder } from '../cli/run.ts'
import { freePort } from '../processes/free-port.ts'
import { RunningProcess } from '../processes/running.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const home = scratchFolder()
const folder = join(home, 'somewhere')
const env = {
  ...process.env,
  // The Node that runs this test, as if it were the one of the machine; and none of this project's own modules.
  PATH: `${dirname(process.execPath)}:${process.env['PATH']}`,
  NODE_PATH: '',
  HOME: process.env['HOME'] ?? home,
}
const npm = (cwd: string, ...args: string[]) =>
  execFileSync('npm', args, { cwd, env, encoding: 'utf8', stdio: 'pipe' })
const stowage = (...args: string[]) =>
  execFileSync('npx', ['--no-install', 'stowage', ...args], {
    cwd: folder,
    env,
    encoding: 'utf8',
    stdio: 'pipe',
  })

describe('the package', () => {
  before(() => {
    npm(ROOT, 'run', 'build')
    npm(join(ROOT, 'dist'), 'pack', '--pack-destination', home)
    const tarball = readdirSync(home).find((name) => name.endsWith('.tgz'))
    assert.ok(tarball, 'npm pack made no archive')
    execFileSync('mkdir', [folder])
    writeFileSync(join(folder, 'package.json'), '{"private":true}')
    // No install script runs: nothing is compiled and nothing is fetched but the packages themselves.
    npm(
      folder,
      'install',
      '--prefer-offline',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      join(home, tarball),
    )
  })
  after(() => rmSync(home, { recursive: true, force: true }))

  test('it holds no test and no TypeScript, and says its version', () => {
    const files = readdirSync(join(folder, 'node_modules/stowage'), { recursive: true }).map(String)
    assert.deepEqual(
      files.filter((name) => !name.includes('node_modules') && /\.ts$|\.test\.|\.suite\./.test(name)),
      [],
    )
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    assert.ok(stowage('version').startsWith(`stowage ${version} `))
  })

  test('its server keeps what its client pushes, and gives it back after a restart', async () => {
    const made = await makeLayout(join(home, 'made'))
    const host = `127.0.0.1:${await freePort()}`
    const serve = () =>
      RunningProcess.start(
        'stowage',
        process.execPath,
        [join(folder, 'node_modules/stowage/bin/stowage.js'), 'serve'],
        {
          cwd: folder,
          env: { REGISTRY_HTTP_ADDR: host },
        },
      )
    let server = await serve()
    try {
      await server.untilAnswers(`http://${host}/v2/`)
      stowage('push', '--all-tags', '--referrers', made.folder, `${host}/team/app`)
      assert.equal(await server.stop(), true, server.output)
      // The worker threads of the database and of the link files were found, or the log would say so.
      assert.doesNotMatch(server.output, /error/i)
      server = await serve()
      await server.untilAnswers(`http://${host}/v2/`)
      stowage('pull', `${host}/team/app:1`, './pulled')
      const { wrong, bytes } = JSON.parse(stowage('--json', 'verify', '--all-tags', `${host}/team/app`))
      assert.deepEqual(wrong, [])
      assert.ok(bytes > 0)
      const { digest } = JSON.parse(stowage('--json', 'inspect', './pulled:1'))
      assert.equal(digest, made.one.descriptor.digest)
    } finally {
      await server.stop()
    }
  })

  test('htpasswd, which needs the one native module, works', () => {
    execFileSync('npx', ['--no-install', 'stowage', 'htpasswd', 'add', './users', 'alice'], {
      cwd: folder,
      env,
      input: 'a secret\n',
      stdio: 'pipe',
    })
    assert.match(readFileSync(join(folder, 'users'), 'utf8'), /^alice:\$2[aby]\$/)
  })
})
