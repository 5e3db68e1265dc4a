// Installs the pinned Python programs into an environment of their own in the cache folder.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { findProgram, isExecutable } from './find-program.ts'
import { SCHEMATHESIS, toolsFolder } from './pinned.ts'

const INSTALL_TIMEOUT_MS = 10 * 60_000

/** The folder is named by the version: another version is another environment. */
function environmentFolder(): string {
  return join(toolsFolder(), `schemathesis-${SCHEMATHESIS}`)
}

export function schemathesisPath(): string {
  return join(environmentFolder(), 'bin', 'schemathesis')
}

/** @throws Error when Python is missing, or an installation fails */
export function installPythonTools(say: (line: string) => void): void {
  const present = isExecutable(schemathesisPath())
  say(`schemathesis ${SCHEMATHESIS}: ${present ? 'present' : 'installing'}`)
  if (present) return
  const python = findProgram('python3')
  if (!python)
    throw new Error('there is no python3 to install schemathesis with: apt-get install python3-venv')
  run(python, ['-m', 'venv', '--clear', environmentFolder()])
  run(join(environmentFolder(), 'bin', 'pip'), ['install', '--quiet', `schemathesis==${SCHEMATHESIS}`])
}

function run(command: string, args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', timeout: INSTALL_TIMEOUT_MS })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed`, { cause: error })
}
