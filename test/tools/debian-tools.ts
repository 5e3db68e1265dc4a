// Installs the Debian packages that are missing. Services that they bring are not started.
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { findProgram } from './find-program.ts'
import { DEBIAN_TOOLS, type DebianTool } from './pinned.ts'

const APT_TIMEOUT_MS = 10 * 60_000
const POLICY = '/usr/sbin/policy-rc.d'

function missingTools(): DebianTool[] {
  return DEBIAN_TOOLS.filter((tool) => findProgram(tool.command) === undefined)
}

function apt(...args: string[]): void {
  const { status, error } = spawnSync('apt-get', args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeout: APT_TIMEOUT_MS,
  })
  if (status !== 0) throw new Error(`apt-get ${args.join(' ')} failed`, { cause: error })
}

function isKnownPackage(name: string): boolean {
  const { stdout } = spawnSync('apt-cache', ['policy', name], { encoding: 'utf8' })
  return /Candidate: (?!\(none\))/.test(stdout ?? '')
}

/** Debian asks this file before it starts a service: docker-registry would take port 5000. */
function withoutServices(work: () => void): void {
  const isOurs = !existsSync(POLICY)
  if (isOurs) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    work()
  } finally {
    if (isOurs) rmSync(POLICY, { force: true })
  }
}

/** @throws Error that says what to do by hand */
function requireApt(commands: string, packages: readonly string[]): void {
  if (!findProgram('apt-get')) {
    throw new Error(`missing: ${commands}; there is no apt-get here, install what brings them`)
  }
  if (process.getuid?.() !== 0) {
    throw new Error(
      `missing: ${commands}; run as root, or: apt-get install --no-install-recommends ${packages.join(' ')}`,
    )
  }
}

/** @throws Error that names the packages when some are missing and cannot be installed */
export function installDebianTools(say: (line: string) => void): void {
  const missing = missingTools()
  const commands = (missing.length > 0 ? missing : DEBIAN_TOOLS).map((tool) => tool.command).join(' ')
  say(`${missing.length > 0 ? 'missing' : 'all present'}: ${commands}`)
  if (missing.length === 0) return
  const wanted = [...new Set(missing.flatMap((tool) => tool.packages))]
  requireApt(commands, wanted)
  apt('-qq', 'update')
  const packages = wanted.filter(isKnownPackage)
  say(`apt-get install ${packages.join(' ')}`)
  withoutServices(() => apt('-qq', '-y', 'install', '--no-install-recommends', ...packages))
  const still = missingTools().map((tool) => tool.command)
  if (still.length > 0) throw new Error(`still missing after the installation: ${still.join(' ')}`)
}
