// Certificates from files, read again on SIGHUP.
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions, type SecureVersion, type TlsOptions } from 'node:tls'

export interface TlsFileOptions {
  readonly certificate: string
  readonly key: string
  /** Certificates that clients must present one of; none asked where empty. */
  readonly clientCas: readonly string[]
  readonly clientAuth: 'require' | 'verify-if-given' | 'request' | 'none'
  readonly minimumVersion: SecureVersion
  /** OpenSSL names; undefined for Node's own choice. */
  readonly ciphers?: string | undefined
}

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
        requestCert: clientAuth !== 'none',
        rejectUnauthorized: clientAuth === 'require' || clientAuth === 'verify-if-given',
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
}

async function readNamed(file: string, key: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    throw new Error(`${key}: ${(error as Error).message}`, { cause: error })
  }
}
