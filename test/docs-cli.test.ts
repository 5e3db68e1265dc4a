// docs/reference/cli.md is what the commands say of themselves: UPDATE_DOCS=1 node --test test/docs-cli.test.ts writes it.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Command } from 'commander'
import { EXIT } from '#cli/output.ts'
import { type Actions, buildProgram } from '#cli/program.ts'

const PAGE = 'docs/reference/cli.md'
const MEANING: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'done',
  failed: 'failed',
  usage: 'the command line is wrong',
  notFound: 'what was named does not exist',
  denied: 'not logged in, or not allowed',
  network: 'the registry cannot be reached, or cannot answer now',
  verification:
    'content does not have its digest or size, a copy is not the same, or the audit log was changed',
  interrupted: 'ended by Ctrl-C',
  terminated: 'ended by SIGTERM',
}

const nowhere = () => {
  throw new Error('no command is run here')
}
const actions: Actions = {
  serve: nowhere,
  work: nowhere,
  checkConfig: nowhere,
  adopt: nowhere,
  collectGarbage: nowhere,
  copyDatabase: nowhere,
  rebuildDatabase: nowhere,
  snapshotDatabase: nowhere,
  resetPassword: nowhere,
  verifyAudit: nowhere,
  exportAudit: nowhere,
  readPassword: nowhere,
  readLine: nowhere,
  canAsk: nowhere,
  environment: nowhere,
  interruption: nowhere,
  version: '0',
}
const output = {
  result: nowhere,
  note: nowhere,
  draw: nowhere,
  resultsOnTerminal: false,
  terminal: () => undefined,
}

function helpOf(command: Command): string {
  let text = ''
  command.configureOutput({
    writeOut: (part) => {
      text += part
    },
    getOutHelpWidth: () => 100,
    getOutHasColors: () => false,
  })
  command.outputHelp()
  return text.trim()
}

function section(command: Command, path: string): string[] {
  const below = command.commands.filter((child) => child.name() !== 'help')
  const own = ['```text', helpOf(command), '```', '']
  return [`## ${path}`, '', ...own, ...below.flatMap((child) => section(child, `${path} ${child.name()}`))]
}

function page(): string {
  const program = buildProgram('stowage', actions, output)
  const codes = Object.entries(EXIT).map(
    ([name, code]) => `| ${code} | ${MEANING[name as keyof typeof EXIT]} |`,
  )
  return [
    '# The command line',
    '',
    'Results go to standard output, everything else to standard error. With `--json` a result is one JSON document, and so is',
    'an error: `{"error":{"kind","message","hint","exitCode"}}`.',
    '',
    '| Exit code | Meaning |',
    '|---|---|',
    ...codes,
    '',
    ...section(program, 'stowage'),
  ].join('\n')
}

test('the page of the command line says what the commands say of themselves', () => {
  if (process.env['UPDATE_DOCS']) writeFileSync(PAGE, page())
  assert.equal(readFileSync(PAGE, 'utf8'), page())
})
