// Brings the programs that tests and benchmarks need: node test/tools/install.ts [debian] [go] [python]; all when none is named.
import { installDebianTools } from './debian-tools.ts'
import { installGoTools } from './go-tools.ts'
import { toolsFolder } from './pinned.ts'
import { installPythonTools } from './python-tools.ts'

const KINDS: Record<string, (say: (line: string) => void) => void> = {
  debian: installDebianTools,
  go: installGoTools,
  python: installPythonTools,
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

const named = process.argv.slice(2)
try {
  say(`tools are kept in ${toolsFolder()}`)
  for (const kind of named.length > 0 ? named : Object.keys(KINDS)) {
    const install = KINDS[kind]
    if (!install)
      throw new Error(`unknown kind of tools: ${kind}; known are ${Object.keys(KINDS).join(', ')}`)
    install(say)
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
