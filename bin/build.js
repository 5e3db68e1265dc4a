// npm run build: the published package in dist/. Node strips no types below node_modules, so they are stripped here, by
// Node itself: the files stay one by one, their lines stay where they are, and nothing else is needed to build.
import fs, { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import module from 'node:module'
import { dirname, join } from 'node:path'
import { requireNode } from './require-node.js'

requireNode()

const ROOT = join(import.meta.dirname, '..')
const DIST = join(ROOT, 'dist')
const COPIED = ['README.md', 'CHANGELOG.md', 'LICENSE', 'config', 'docs/reference', 'docs/operate']
/** Files that only tests read. */
const FOR_TESTS = /(?:\.test|\.suite|-under-test)\.ts$/
/** Specifiers of our own files: `'#room/file.ts'`, `'./file.ts'`. A worker is started by such a path too. */
const OWN_FILE = /(['"])((?:#|\.{1,2}\/)[^'"\n]+)\.ts\1/g

const packageJson = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))

/** @param {string} path @param {string} text */
function write(path, text) {
  const file = join(DIST, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

rmSync(DIST, { recursive: true, force: true })
const sources = fs.globSync('src/**/*.ts', { cwd: ROOT }).filter((path) => !FOR_TESTS.test(path))
for (const path of sources) {
  const stripped = module.stripTypeScriptTypes(readFileSync(join(ROOT, path), 'utf8'))
  write(path.replace(/\.ts$/, '.js'), stripped.replace(OWN_FILE, '$1$2.js$1'))
}
for (const path of ['bin/stowage.js', 'bin/require-node.js']) {
  write(path, readFileSync(join(ROOT, path), 'utf8').replace(OWN_FILE, '$1$2.js$1'))
}
for (const path of COPIED) {
  cpSync(join(ROOT, path), join(DIST, path), { recursive: true, force: true, errorOnExist: false })
}
const { name, version, description, license, type, bin, imports, dependencies } = packageJson
write(
  'package.json',
  `${JSON.stringify({ name, version, description, license, type, bin, imports, engines: { node: '>=24.7' }, dependencies, files: ['bin', 'src', 'config', 'docs'] }, undefined, 2)}\n`,
)
process.stdout.write(`dist/: ${name} ${version}, ${sources.length} files\n`)
