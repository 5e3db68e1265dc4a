// What holds for every command: help with an example, --json, quiet, and completion.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { EXIT } from '#cli/output.ts'
import { run, runJson } from './run.ts'

const COMMANDS = [
  'serve',
  'worker',
  'scrub',
  'tier plan',
  'tier run',
  'config check',
  'htpasswd add',
  'login',
  'logout',
  'pull',
  'push',
  'copy',
  'sync',
  'list',
  'inspect',
  'verify',
  'diff',
  'unpack',
  'tag',
  'delete',
  'adopt',
  'db copy',
  'db rebuild',
  'db snapshot',
  'export',
  'completion',
  'version',
]

for (const command of COMMANDS) {
  test(`stowage ${command} --help says how it is used, with an example`, async () => {
    const { code, results } = await run([...command.split(' '), '--help'])
    const text = results.join('\n')
    assert.equal(code, EXIT.ok)
    assert.match(text, new RegExp(`Usage: stowage ${command}`))
    assert.match(text, new RegExp(`Examples?:\\n(?:.*\\n)*? +(?:.* )?stowage ${command}`))
  })
}

test('the help of the program lists every command', async () => {
  const text = (await run(['--help'])).results.join('\n')
  for (const command of COMMANDS) assert.match(text, new RegExp(`^  ${command.split(' ')[0]}\\b`, 'm'))
})

test('an unknown command and an unknown option are matters of usage', async () => {
  assert.equal((await run(['pul'])).code, EXIT.usage)
  assert.equal((await run(['pull', '--fast', 'a'])).code, EXIT.usage)
  assert.match((await run(['pul', 'a'])).notes.join('\n'), /did you mean pull/i)
})

test('the configuration is printed as JSON too', async () => {
  assert.deepEqual(await runJson(['config', 'check']), {
    configuration: { version: 0.1 },
    warnings: ['doubtful'],
  })
  assert.deepEqual((await run(['config', 'check', '--quiet'])).notes, [])
})

test('the bash completion offers commands, options of a command, and files', async () => {
  const script = (await run(['completion', 'bash'])).results.join('\n')
  const offered = (...words: string[]) => {
    const setup = `COMP_WORDS=(stowage ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _stowage; echo "\${COMPREPLY[@]}"`
    return execFileSync('bash', ['-c', `${script}\n${setup}`], {
      encoding: 'utf8',
      cwd: import.meta.dirname,
    }).trim()
  }
  assert.deepEqual(offered('co').split(' ').sort(), ['completion', 'config', 'copy'])
  assert.ok(offered('config', '').split(' ').includes('check'))
  assert.ok(offered('sync', '--dry').includes('--dry-run'))
  assert.ok(offered('sync', '--js').includes('--json'))
  assert.equal(offered('push', 'program.te'), 'program.test.ts')
})

for (const shell of ['zsh', 'fish']) {
  const missing = spawnSync(shell, ['--version']).error && `${shell} is not installed`
  test(`the ${shell} completion is a script that ${shell} reads`, { skip: missing ?? false }, async () => {
    const script = (await run(['completion', shell])).results.join('\n')
    execFileSync(shell, ['-n', '-c', script])
  })
}

test('a shell that is not known is named', async () => {
  const { code, notes } = await run(['completion', 'csh'])
  assert.equal(code, EXIT.usage)
  assert.match(notes.join('\n'), /csh/)
})

/** Files that are loaded with this one: static imports of values, followed. */
function loadedWith(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found
  found.add(file)
  const text = readFileSync(`src/${file}`, 'utf8')
  for (const [, names = '', specifier = ''] of text.matchAll(
    /^import ([^'"]*?) from ['"](#[^'"]+\.ts)['"]/gms,
  )) {
    // An import of types alone is gone when the types are stripped.
    const isTypes = /^type\b/.test(names)
    if (!isTypes) loadedWith(specifier.slice(1), found)
  }
  return found
}

test('a command loads nothing of the client, the layers or the server before it runs', () => {
  const loaded = [...loadedWith('main.ts')]
  assert.ok(loaded.includes('cli/commands/sync.ts'))
  assert.deepEqual(
    loaded.filter((file) => !/^(?:cli|config|lib)\//.test(file) && file !== 'main.ts'),
    [],
  )
})
