#!/usr/bin/env node
// The command: checks the Node it runs on, then hands over to src/main.ts.
// An older Node that runs us by name ("npx stowage") finds the pinned Node beside the package and uses that.
import { existsSync } from 'node:fs'
import module from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isTooOld, requireNode } from './require-node.js'

const here = dirname(fileURLToPath(import.meta.url))
const pinned = join(here, '..', 'node_modules', '.bin', 'node')

if (isTooOld && existsSync(pinned) && !process.env.STOWAGE_PINNED_NODE) {
  const { spawn } = await import('node:child_process')
  const child = spawn(pinned, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, STOWAGE_PINNED_NODE: '1' },
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)))
} else {
  requireNode()
  // Types that were stripped once stay stripped: half a second less for every start but the first.
  module.enableCompileCache?.(join(here, '..', 'node_modules', '.cache', 'stowage'))
  // The disk, name look-ups and bcrypt share libuv's pool; four threads would let a few syncs hold up every read.
  // Read when the pool starts, which is after this line.
  process.env.UV_THREADPOOL_SIZE ??= '16'
  // Our own files are found without the look at package.json that Node takes for each of them: a third of a short command.
  // So are those of Kysely, more than two hundred that name each other by their paths. Of zod's messages in sixty languages
  // one is loaded: the others cost every server four megabytes.
  const sources = new URL('../src/', import.meta.url).href
  const packages = new URL('../node_modules/', import.meta.url).href
  const kysely = `${packages}kysely/dist/esm/`
  const zod = `${packages}zod/v4/`
  module.registerHooks?.({
    resolve(specifier, context, next) {
      const found = (url, format = 'module') => ({ url, format, shortCircuit: true })
      if (specifier.startsWith('#'))
        return found(sources + specifier.slice(1), specifier.endsWith('.ts') ? 'module-typescript' : 'module')
      if (specifier.startsWith('.') && context.parentURL?.startsWith(kysely))
        return found(new URL(specifier, context.parentURL).href)
      if (specifier === '../locales/index.js' && context.parentURL?.startsWith(zod))
        return found(`${zod}locales/en.js`)
      return next(specifier, context)
    },
  })
  await import('../src/main.ts')
}
