// The `docker-credential-*` programs: they keep passwords in the keychain of the system.
// Source: docker/docker-credential-helpers, README "Development".
import { ClientError } from '#client/client-error.ts'
import type { Credentials } from '#client/credentials.ts'
import { isObject } from '#oci/parse-descriptor.ts'

export interface HelperOptions {
  /** The suffix of the program's name, e.g. `pass`. */
  readonly name: string
  /** What the program gets as its environment; PATH of it finds the program. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly timeoutMs?: number | undefined
}

/** A keychain may ask the user to unlock it. */
export const HELPER_TIMEOUT_MS = 60_000
const OUTPUT_BYTES_MAX = 256 * 1024
/** docker's mark for an identity token in place of a user name. */
const TOKEN_USER = '<token>'
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

/** Undefined when the keychain has nothing for that server. @throws ClientError invalid when the program fails */
export async function getFromHelper(
  options: HelperOptions,
  server: string,
): Promise<Credentials | undefined> {
  const { ok, output } = await run(options, 'get', server)
  if (!ok) {
    // The one thing that every helper says in the same words.
    if (/credentials not found/i.test(output)) return undefined
    throw failed(options, 'get')
  }
  let value: unknown
  try {
    value = JSON.parse(output)
  } catch {
    throw failed(options, 'get')
  }
  const { Username: username, Secret: secret } = isObject(value) ? value : {}
  if (typeof username !== 'string' || typeof secret !== 'string') throw failed(options, 'get')
  if (username === TOKEN_USER) return { kind: 'identity-token', token: secret }
  return { kind: 'password', username, password: secret }
}

export async function storeInHelper(
  options: HelperOptions,
  server: string,
  credentials: Credentials,
): Promise<void> {
  const entry =
    credentials.kind === 'password'
      ? { ServerURL: server, Username: credentials.username, Secret: credentials.password }
      : { ServerURL: server, Username: TOKEN_USER, Secret: credentials.token }
  if (!(await run(options, 'store', JSON.stringify(entry))).ok) throw failed(options, 'store')
}

export async function eraseFromHelper(options: HelperOptions, server: string): Promise<void> {
  const { ok, output } = await run(options, 'erase', server)
  if (!ok && !/not found/i.test(output)) throw failed(options, 'erase')
}

function failed({ name }: HelperOptions, action: string): ClientError {
  // Its output is not repeated: it may hold the secret.
  return new ClientError('invalid', `docker-credential-${name} ${action} failed`, {
    hint: `run docker-credential-${name} list to see why`,
  })
}

async function run(
  { name, environment, timeoutMs = HELPER_TIMEOUT_MS }: HelperOptions,
  action: string,
  input: string,
): Promise<{ readonly ok: boolean; readonly output: string }> {
  if (!NAME.test(name)) {
    throw new ClientError(
      'invalid',
      `${JSON.stringify(name.slice(0, 100))} is no name of a credential helper`,
    )
  }
  // Here and not above: few have a helper.
  const { spawn } = await import('node:child_process')
  return await new Promise((resolve, reject) => {
    const program = `docker-credential-${name}`
    const child = spawn(program, [action], {
      env: environment,
      stdio: ['pipe', 'pipe', 'ignore'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    })
    const chunks: Buffer[] = []
    let bytes = 0
    child.once('error', (cause) => {
      const hint = `install ${program}, or take it out of the credentials file`
      reject(new ClientError('invalid', `${program} cannot be run`, { cause, hint }))
    })
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.byteLength
      if (bytes > OUTPUT_BYTES_MAX) child.kill('SIGKILL')
      else chunks.push(chunk)
    })
    child.once('close', (code, signal) => {
      if (signal) reject(new ClientError('timeout', `${program} did not end within ${timeoutMs} ms`))
      else resolve({ ok: code === 0, output: Buffer.concat(chunks).toString('utf8').trim() })
    })
    // A program that does not read its input is not our failure.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}
