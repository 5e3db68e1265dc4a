// Installs the pinned Go programs into the cache folder, and leaves alone what is there at the right version.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { findProgram, isExecutable } from './find-program.ts'
import { GO_TOOLS, type GoTool, toolsFolder } from './pinned.ts'

const INSTALL_TIMEOUT_MS = 10 * 60_000

function binFolder(): string {
  return join(toolsFolder(), 'bin')
}

function stampFolder(): string {
  return join(toolsFolder(), 'stamps')
}

function stampOf(tool: GoTool): string {
  return join(stampFolder(), `${tool.name}@${tool.version}`)
}

/** A stamp counts only while the program beside it is the one it was made for. */
function hasStamp(tool: GoTool, binary: string): boolean {
  const stamp = statSync(stampOf(tool), { throwIfNoEntry: false })
  const program = statSync(binary, { throwIfNoEntry: false })
  return stamp !== undefined && program !== undefined && stamp.mtimeMs >= program.mtimeMs
}

function writeStamp(tool: GoTool): void {
  mkdirSync(stampFolder(), { recursive: true })
  for (const name of readdirSync(stampFolder())) {
    if (name.startsWith(`${tool.name}@`)) rmSync(join(stampFolder(), name))
  }
  writeFileSync(stampOf(tool), `${tool.module}\n`)
}

/** True when Go itself says that the binary was built from the pinned version. */
function isBuiltFrom(go: string, tool: GoTool, binary: string): boolean {
  const { stdout } = spawnSync(go, ['version', '-m', binary], { encoding: 'utf8', env: goEnvironment() })
  return (stdout ?? '').split('\n').some((line) => {
    const [kind, module, version] = line.trim().split(/\s+/)
    return kind === 'mod' && module === tool.module && version === tool.version
  })
}

/** Go wants a home for its caches, also where HOME is unset. */
function goEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, HOME: process.env['HOME'] || homedir() }
}

/** @throws Error when Go is absent or the build fails */
function build(go: string | undefined, tool: GoTool): void {
  if (!go) {
    throw new Error(
      `${tool.name} ${tool.version} is missing and there is no Go to build it with: ` +
        'install Go 1.24 or newer (PATH or /usr/local/go/bin) and run this again',
    )
  }
  const target = `${[tool.module, tool.path].filter(Boolean).join('/')}@${tool.version}`
  const { status, error } = spawnSync(go, ['install', target], {
    stdio: 'inherit',
    env: { ...goEnvironment(), GOBIN: binFolder() },
    timeout: INSTALL_TIMEOUT_MS,
  })
  if (status !== 0) throw new Error(`go install ${target} failed`, { cause: error })
}

/** @throws Error when a tool is missing and cannot be built */
export function installGoTools(say: (line: string) => void): void {
  const go = findProgram('go')
  say(go ? `go: ${go}` : 'go: not found in PATH or /usr/local/go/bin')
  mkdirSync(binFolder(), { recursive: true })
  for (const tool of GO_TOOLS) {
    const binary = join(binFolder(), tool.name)
    const stamped = isExecutable(binary) && hasStamp(tool, binary)
    const present = stamped || (go !== undefined && isExecutable(binary) && isBuiltFrom(go, tool, binary))
    say(`${tool.name} ${tool.version}: ${present ? 'present' : 'building'}`)
    if (!present) build(go, tool)
    if (!stamped) writeStamp(tool)
  }
}
