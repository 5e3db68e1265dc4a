// One client for each registry that a command speaks with, with the credentials and certificates for it.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClientEnvironment } from '#cli/client-environment.ts'
import type { GlobalOptions } from '#cli/global-options.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import { CredentialStore, credentialFiles } from '#client/credential-store.ts'
import type { Credentials } from '#client/credentials.ts'
import { RegistryClient } from '#client/registry-client.ts'
import type { TlsOptions } from '#client/transport.ts'

export interface RegistriesOptions {
  readonly options: GlobalOptions
  readonly environment: ClientEnvironment
  readonly version: string
}

export interface Address {
  readonly host: string
  /** For podman's credentials of a part of a registry. */
  readonly repository?: string | undefined
  /** What the scheme of a URL said; undefined when none was written. */
  readonly plainHttp?: boolean | undefined
}

/** Where docker looks for authorities of a registry. */
const DOCKER_CERTIFICATES = '/etc/docker/certs.d'

export class Registries {
  readonly credentials: CredentialStore
  readonly #setup: RegistriesOptions
  readonly #clients = new Map<string, Promise<RegistryClient>>()
  #authorities: Promise<readonly string[]> | undefined

  constructor(setup: RegistriesOptions) {
    this.#setup = setup
    const { options, environment } = setup
    const files = options.authfile
      ? { read: [options.authfile], write: options.authfile }
      : credentialFiles(environment.variables, environment.home)
    this.credentials = new CredentialStore({ files, environment: environment.variables })
  }

  /** @throws ClientError when credentials cannot be read, CommandFailure when a certificate cannot */
  async client(address: Address): Promise<RegistryClient> {
    const credentials = await this.credentials.find(address.host, address.repository)
    return await this.clientAs(address, credentials)
  }

  async clientAs(address: Address, credentials: Credentials | undefined): Promise<RegistryClient> {
    const { host, plainHttp } = address
    const key = JSON.stringify([host, plainHttp ?? null, credentials ?? null])
    const client = this.#clients.get(key) ?? this.#open(address, credentials)
    this.#clients.set(key, client)
    return await client
  }

  async close(): Promise<void> {
    const opened = await Promise.allSettled(this.#clients.values())
    this.#clients.clear()
    for (const client of opened) if (client.status === 'fulfilled') await client.value.close()
  }

  async #open({ host, plainHttp }: Address, credentials: Credentials | undefined): Promise<RegistryClient> {
    const { options, environment, version } = this.#setup
    const plain = plainHttp ?? (options.plainHttp || undefined)
    return new RegistryClient({
      host,
      credentials,
      plainHttp: plain,
      transport: {
        tls: await this.#tlsFor(host),
        proxy: environment.proxy,
        userAgent: `stowage/${version}`,
      },
    })
  }

  async #tlsFor(host: string): Promise<TlsOptions> {
    const { cert, key, insecure } = this.#setup.options
    if ((cert === undefined) !== (key === undefined))
      throw new CommandFailure(EXIT.usage, '--cert and --key belong together: name both')
    this.#authorities ??= this.#readAuthorities()
    const authorities = [...(await this.#authorities), ...(await dockerAuthorities(host))]
    const hostname = URL.parse(`https://${host}`)?.hostname ?? host
    return {
      ...(authorities.length > 0 ? { authorities } : {}),
      ...(cert !== undefined && key !== undefined
        ? {
            clientCertificate: {
              certificate: await readPem(cert),
              key: await readPem(key),
              hostname,
            },
          }
        : {}),
      ...(insecure ? { insecure } : {}),
    }
  }

  async #readAuthorities(): Promise<readonly string[]> {
    const { options, environment } = this.#setup
    const named = options.ca ?? []
    const paths = environment.authoritiesFile ? [...named, environment.authoritiesFile] : named
    return await Promise.all(paths.map(readPem))
  }
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new CommandFailure(EXIT.usage, `the certificate or key ${path} cannot be read`, { cause })
  }
}

/** A folder that is not there, or that we may not read, is no reason to stop: docker itself would be the one to complain. */
async function dockerAuthorities(host: string): Promise<string[]> {
  const folder = join(DOCKER_CERTIFICATES, host)
  const names = await readdir(folder).catch(() => [])
  const texts = names
    .filter((name) => name.endsWith('.crt'))
    .map((name) => readFile(join(folder, name), 'utf8').catch(() => undefined))
  return (await Promise.all(texts)).filter((text) => text !== undefined)
}
