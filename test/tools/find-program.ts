// Finds a program, and says in one sentence how to get it when it is absent.
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { DEBIAN_TOOLS, type GoToolName, toolPath } from './pinned.ts'

/** Where programs lie that a plain user's PATH often leaves out; Debian keeps each release of PostgreSQL in a folder of its own. */
const EXTRA_FOLDERS = [
  '/usr/local/go/bin',
  '/usr/local/sbin',
  '/usr/sbin',
  '/sbin',
  ...[18, 17, 16, 15].map((release) => `/usr/lib/postgresql/${release}/bin`),
]

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The full path of a program, or undefined. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter).filter(Boolean), ...EXTRA_FOLDERS]
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

/** @throws Error that names the Debian package when the program is absent */
export function requireProgram(name: string): string {
  const path = findProgram(name)
  if (path) return path
  const packages = DEBIAN_TOOLS.find((tool) => tool.command === name)?.packages.join(' or ') ?? name
  throw new Error(`${name} is not installed: apt-get install ${packages}, or node test/tools/install.ts`)
}

/** @throws Error that says how to install the tool when it is absent */
export function requireTool(name: GoToolName): string {
  const path = toolPath(name)
  if (isExecutable(path)) return path
  throw new Error(`${name} is not installed at ${path}: run node test/tools/install.ts go`)
}
