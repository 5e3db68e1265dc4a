#!/usr/bin/env node
// The command: checks the Node it runs on, then hands over to src/main.ts.
// An older Node that runs us by name ("npx stowage") finds the pinned Node beside the package and uses that.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import module from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isTooOld, requireNode } from './require-node.js'

const here = dirname(fileURLToPath(import.meta.url))
const pinned = join(here, '..', 'node_modules', '.bin', 'node')

if (isTooOld && existsSync(pinned) && !process.env.STOWAGE_PINNED_NODE) {
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
  await import('../src/main.ts')
}
