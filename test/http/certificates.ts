// Certificates for tests, made by openssl.
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface KeyPair {
  readonly certificate: string
  readonly key: string
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']

/** A self-signed certificate for localhost and 127.0.0.1; the name tells one from another. */
export async function selfSigned(folder: string, name: string): Promise<KeyPair> {
  const pair = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) }
  await run('openssl', [
    ...['req', '-x509', ...EC, '-subj', `/CN=${name}`],
    ...['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
    ...['-keyout', pair.key, '-out', pair.certificate],
  ])
  return pair
}

/** A certificate for a client, signed by the authority; alternative names as openssl writes them: `DNS:a,URI:spiffe://b/c`. */
export async function signedBy(
  folder: string,
  authority: KeyPair,
  name: string,
  { subject = `/CN=${name}`, alternatives }: { subject?: string; alternatives?: string } = {},
): Promise<KeyPair> {
  const pair = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) }
  const request = join(folder, `${name}.csr`)
  await run('openssl', [
    'req',
    '-new',
    ...EC.slice(0, 5),
    '-subj',
    subject,
    '-keyout',
    pair.key,
    '-out',
    request,
  ])
  const extensions = join(folder, `${name}.ext`)
  const names = alternatives === undefined ? '' : `subjectAltName=${alternatives}\n`
  await writeFile(extensions, `extendedKeyUsage=clientAuth\n${names}`)
  await run('openssl', [
    ...['x509', '-req', '-days', '2', '-in', request, '-extfile', extensions, '-CAcreateserial'],
    ...['-CA', authority.certificate, '-CAkey', authority.key, '-out', pair.certificate],
  ])
  return pair
}
