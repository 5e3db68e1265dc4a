// Certificates from files, read again on SIGHUP.
import { readFile } from 'node:fs/promises'
import {
  createSecureContext,
  type SecureContextOptions,
  type SecureVersion,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls'

export interface TlsFileOptions {
  readonly certificate: string
  readonly key: string
  /** Authorities that certify clients; where there are none, clients are not asked for a certificate. */
  readonly clientCas: readonly string[]
  readonly clientAuth: ClientAuth
  readonly minimumVersion: SecureVersion
  /** OpenSSL names; undefined for Node's own choice. */
  readonly ciphers?: string | undefined
}

/**
 * What a client must show. `require`: a certificate of an authority. `verify-if-given`: that, or none. `any`: some
 * certificate, whoever signed it. `request`: it is asked, and may do as it likes.
 */
export type ClientAuth = 'require' | 'verify-if-given' | 'any' | 'request'

export class TlsFiles {
  readonly #options: TlsFileOptions

  constructor(options: TlsFileOptions) {
    this.#options = options
  }

  /** @throws Error that names the file when one cannot be read or the key does not fit the certificate */
  async read(): Promise<SecureContextOptions & TlsOptions> {
    const { certificate, key, clientCas, clientAuth, minimumVersion, ciphers } = this.#options
    const context: SecureContextOptions & TlsOptions = {
      cert: await readNamed(certificate, 'http.tls.certificate'),
      key: await readNamed(key, 'http.tls.key'),
      minVersion: minimumVersion,
      ...(ciphers !== undefined && { ciphers }),
      ...(clientCas.length > 0 && {
        ca: await Promise.all(clientCas.map((file) => readNamed(file, 'http.tls.clientcas'))),
        requestCert: true,
        rejectUnauthorized: clientAuth === 'require',
      }),
    }
    try {
      createSecureContext(context)
    } catch (error) {
      throw new Error(
        `the certificate ${certificate} and the key ${key} cannot be used: ${(error as Error).message}`,
        {
          cause: error,
        },
      )
    }
    return context
  }

  /** Whether a client that has shaken hands may stay: OpenSSL itself only knows `require` and `request`. */
  admits(socket: TLSSocket): boolean {
    const { clientCas, clientAuth } = this.#options
    if (clientCas.length === 0 || clientAuth === 'request' || socket.authorized) return true
    const isGiven = Object.keys(socket.getPeerCertificate() ?? {}).length > 0
    return isGiven === (clientAuth === 'any')
  }
}

async function readNamed(file: string, key: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    throw new Error(`${key}: ${(error as Error).message}`, { cause: error })
  }
}
