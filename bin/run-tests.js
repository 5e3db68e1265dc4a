// Runs every unit and server test: all *.test.ts below src/ and test/, or the files that are named.
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { requireNode } from './require-node.js'

requireNode()

const named = process.argv.slice(2)
const files = named.length > 0 ? named : fs.globSync(['src/**/*.test.ts', 'test/**/*.test.ts']).sort()
const child = spawn(process.execPath, ['--test', '--test-concurrency=2', '--test-timeout=120000', ...files], {
  stdio: 'inherit',
})
child.on('exit', (code) => process.exit(code ?? 1))
