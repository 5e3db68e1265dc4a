// Runs tests of whole servers, and of rooms that ask much of the database, again with the facts in a PostgreSQL that is
// started for them:
//   npm run test:postgres              those that ask something of the database
//   npm run test:postgres -- FILE...   the files that are named
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { startPostgres } from '../processes/postgres-server.ts'

/** They ask nothing of the database, or for something that only files have. */
const LEFT_OUT = [
  ...['body-limits', 'certificates', 'durable-answers', 'folder', 'http2', 'links', 'methods', 'paths'],
  ...['slow-clients', 'tls', 'token-auth', 'version', 'manifest-validation', 's3'],
]

/** Rooms below the server that ask much of the database. */
const ROOMS = [
  ...globSync('src/access/{project-births,rights,rules}.test.ts'),
  ...globSync('src/access/{quotas,rates}/*.test.ts'),
  ...globSync('src/events/*.test.ts'),
  ...globSync('src/events/webhooks/*.test.ts'),
  ...globSync('src/maintenance/{gc,scan,tiering}/*.test.ts'),
  'src/maintenance/undelete.test.ts',
  'src/registry/upload-claims.test.ts',
]

const named = process.argv.slice(2)
const isLeftOut = (file: string) => LEFT_OUT.some((name) => file.endsWith(`/${name}.test.ts`))
const files =
  named.length > 0
    ? named
    : [...globSync('test/http/*.test.ts').filter((file) => !isLeftOut(file)), ...ROOMS].sort()

await using server = await startPostgres()
const args = ['--test', '--test-concurrency=2', '--test-timeout=120000', ...files]
const child = spawn(process.execPath, args, {
  stdio: 'inherit',
  env: { ...process.env, STOWAGE_TEST_POSTGRES: server.url() },
})
const [code] = await once(child, 'exit')
process.exitCode = typeof code === 'number' ? code : 1
