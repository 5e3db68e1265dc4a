// An OpenLDAP of the test's own: its database in a temporary folder, on free ports, with and without TLS.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type KeyPair, selfSigned } from '../http/certificates.ts'
import { findProgram } from '../tools/find-program.ts'
import { freePort } from './free-port.ts'

const START_MS_MAX = 20_000
const OUTPUT_CHARS_KEPT = 4_000

export const SUFFIX = 'dc=example,dc=com'
export const ADMIN_DN = `cn=admin,${SUFFIX}`
export const ADMIN_PASSWORD = 'the password of the directory'

/** Why the tests that need it are left out; false where they run. With CI=true they must run. */
export function slapdAbsent(): string | false {
  if (findProgram('slapd') !== undefined || process.env['CI'] === 'true') return false
  return 'slapd is not installed: apt-get install slapd'
}

export interface SlapdServer extends AsyncDisposable {
  /** `ldap://`, which takes StartTLS. */
  readonly url: string
  /** `ldaps://` */
  readonly secureUrl: string
  /** Its certificate, which is its own authority. */
  readonly certificate: KeyPair
  start(): Promise<void>
  stop(): Promise<void>
}

/** @param entries in LDIF, below SUFFIX; the suffix itself is there */
export async function startSlapd(entries: string): Promise<SlapdServer> {
  const program = findProgram('slapd')
  const add = findProgram('slapadd')
  if (program === undefined || add === undefined) throw new Error(`${slapdAbsent()}`)
  const folder = await mkdtemp(join(tmpdir(), 'stowage-ldap-'))
  await mkdir(join(folder, 'data'))
  const certificate = await selfSigned(folder, 'localhost')
  const configuration = join(folder, 'slapd.conf')
  await writeFile(configuration, configurationOf(folder, certificate))
  const ldif = join(folder, 'entries.ldif')
  const root = `dn: ${SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n`
  await writeFile(ldif, `${root}\n${entries.trim()}\n`)
  const { status, stderr } = spawnSync(add, ['-f', configuration, '-l', ldif], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`slapadd failed: ${stderr}`)
  const [port, securePort] = [await freePort(), await freePort()]
  const listen = `ldap://127.0.0.1:${port} ldaps://127.0.0.1:${securePort}`
  let running: ChildProcess | undefined
  let output = ''
  const server: SlapdServer = {
    url: `ldap://127.0.0.1:${port}`,
    secureUrl: `ldaps://localhost:${securePort}`,
    certificate,
    async start() {
      running = spawn(program, ['-h', listen, '-f', configuration, '-d', '0'], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      running.stderr?.on('data', (chunk: Buffer) => {
        output = (output + chunk.toString()).slice(-OUTPUT_CHARS_KEPT)
      })
      const started = Date.now()
      while (!((await answers(port)) && (await answers(securePort)))) {
        if (running.exitCode !== null || Date.now() - started > START_MS_MAX)
          throw new Error(`slapd did not start: ${output}`)
        await wait(50)
      }
    },
    async stop() {
      const stopping = running
      running = undefined
      if (!stopping || stopping.exitCode !== null) return
      stopping.kill('SIGTERM')
      await once(stopping, 'exit')
    },
    async [Symbol.asyncDispose]() {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
  await server.start()
  return server
}

function configurationOf(folder: string, { certificate, key }: KeyPair): string {
  const schemas = ['core', 'cosine', 'inetorgperson'].map((name) => `include /etc/ldap/schema/${name}.schema`)
  return [
    ...schemas,
    'modulepath /usr/lib/ldap',
    'moduleload back_mdb',
    `pidfile ${folder}/slapd.pid`,
    `TLSCertificateFile ${certificate}`,
    `TLSCertificateKeyFile ${key}`,
    // As the protocol allows it: a bind with a name and no password succeeds.
    'allow bind_anon_cred bind_anon_dn',
    'database mdb',
    `suffix "${SUFFIX}"`,
    `directory ${folder}/data`,
    'maxsize 10485760',
    `rootdn "${ADMIN_DN}"`,
    `rootpw "${ADMIN_PASSWORD}"`,
    'access to attrs=userPassword by anonymous auth by * none',
    'access to * by dn.exact="cn=reader,ou=services,dc=example,dc=com" read by anonymous auth by * none',
    '',
  ].join('\n')
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
