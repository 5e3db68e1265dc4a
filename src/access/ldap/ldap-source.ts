// The people of an LDAP directory: found by a search, let in by a bind with their own password.
// RFC 4511, RFC 4513 (5.1.2: a bind without a password lets everybody in), RFC 4515 (filters)
import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import {
  Client,
  type Entry,
  Filter,
  InvalidCredentialsError,
  ResultCodeError,
  SizeLimitExceededError,
} from 'ldapts'
import { type ExternalAccount, GROUPS_MAX, type GroupMapping } from '#access/external/external-account.ts'
import type { Confirmation, ExternalSource } from '#access/external/external-accounts.ts'
import { hasControls } from '#access/passwords/basic-credentials.ts'
import { BoundedWork } from '#access/passwords/bounded-work.ts'
import type { ExternalIdentityRecord } from '#db/external-identities.ts'
import { OciError } from '#oci/errors.ts'
import type { Log } from '#telemetry/log.ts'

const CONNECTIONS_MAX = 8
const WAITING_MAX = 64
/** One is somebody; with two nobody knows who is meant. */
const ENTRIES_MAX = 2
const NAME_CHARS_MAX = 255
const TEXT_CHARS_MAX = 255
/** Of Active Directory, and bytes where others have text. */
const BINARY_SUBJECTS = new Set(['objectguid', 'objectsid'])

export interface LdapOptions {
  readonly name: string
  /** `ldaps://host` or `ldap://host`, with or without a port. */
  readonly url: string
  readonly startTls: boolean
  /** Certificates of authorities, PEM; undefined for those of the system. */
  readonly ca: string | undefined
  /** Who searches; empty for nobody in particular. */
  readonly bindDn: string
  readonly bindPassword: string
  readonly userBase: string
  /** `{name}` is what somebody typed. */
  readonly userFilter: string
  readonly subjectAttribute: string
  readonly nameAttribute: string
  readonly emailAttribute: string
  readonly displayNameAttribute: string
  /** Empty: groups are not searched. */
  readonly groupBase: string
  /** `{dn}` and `{name}` are those of the user. */
  readonly groupFilter: string
  readonly groupAttribute: string
  /** Of the user: names of his groups. */
  readonly memberOfAttribute: string
  readonly mapping: GroupMapping
  readonly provision: boolean
  readonly recheckMs: number
  readonly graceMs: number
  /** Of each operation. */
  readonly timeoutMs: number
}

export class LdapSource implements ExternalSource {
  readonly issuer: string
  readonly #options: LdapOptions
  readonly #log: Log
  readonly #work = new BoundedWork(CONNECTIONS_MAX, WAITING_MAX)

  constructor(options: LdapOptions, log: Log) {
    this.#options = options
    this.#log = log
    this.issuer = `ldap:${options.name}`
  }

  get name() {
    return this.#options.name
  }
  get mapping() {
    return this.#options.mapping
  }
  get provision() {
    return this.#options.provision
  }
  get recheckMs() {
    return this.#options.recheckMs
  }
  get graceMs() {
    return this.#options.graceMs
  }
  /** The directory can always be asked. */
  get loginLifeMs() {
    return this.#options.graceMs
  }

  async logIn(name: string, password: string): Promise<ExternalAccount | undefined> {
    if (password === '' || name === '' || name.length > NAME_CHARS_MAX || hasControls(name + password))
      return undefined
    return this.#connected(async (client) => {
      const entry = await this.#find(client, this.#options.userFilter, Filter.escape(name))
      if (!entry || !(await this.#isPasswordOf(entry.dn, password))) return undefined
      return this.#account(client, entry, name)
    }).catch((cause) => {
      if (cause instanceof OciError) throw cause
      this.#log.warn('the directory cannot be asked', { provider: this.name, error: describe(cause) })
      throw new OciError('UNAVAILABLE', {
        message: 'the directory of users does not answer: try again later',
        cause,
      })
    })
  }

  async confirm({ subject, userName }: ExternalIdentityRecord): Promise<Confirmation> {
    const { subjectAttribute, userFilter } = this.#options
    const value = isBinary(subjectAttribute)
      ? Filter.escape(Buffer.from(subject, 'hex'))
      : Filter.escape(subject)
    try {
      return await this.#connected(async (client): Promise<Confirmation> => {
        // Whatever makes somebody a user must still hold, and not only that the entry is there.
        const entry = await this.#find(client, `(&${userFilter}(${subjectAttribute}=${value}))`, '*')
        if (!entry) return { kind: 'ended' }
        return { kind: 'holds', account: await this.#account(client, entry, userName) }
      })
    } catch (error) {
      return { kind: 'unreachable', why: describe(error) }
    }
  }

  /** On a connection of its own: the one that searches keeps its rights. */
  async #isPasswordOf(dn: string, password: string): Promise<boolean> {
    const client = await this.#open()
    try {
      await client.bind(dn, password)
      return true
    } catch (error) {
      if (!(error instanceof ResultCodeError)) throw error
      // Locked, expired, forbidden: whatever it says, it is no yes.
      if (!(error instanceof InvalidCredentialsError))
        this.#log.info('the directory did not let somebody in', { provider: this.name, why: describe(error) })
      return false
    } finally {
      await client.unbind().catch(() => {})
    }
  }

  async #find(client: Client, filter: string, name: string): Promise<Entry | undefined> {
    const {
      userBase,
      subjectAttribute,
      nameAttribute,
      emailAttribute,
      displayNameAttribute,
      memberOfAttribute,
    } = this.#options
    const attributes = [
      subjectAttribute,
      nameAttribute,
      emailAttribute,
      displayNameAttribute,
      memberOfAttribute,
    ]
    // Referrals lead to other servers, which would get our password: they are not followed.
    const found = client.search(userBase, {
      scope: 'sub',
      filter: filter.replaceAll('{name}', () => name),
      attributes: attributes.filter((attribute) => attribute !== ''),
      explicitBufferAttributes: isBinary(subjectAttribute) ? [subjectAttribute] : [],
      sizeLimit: ENTRIES_MAX,
      derefAliases: 'never',
    })
    const entries = await found.then(
      ({ searchEntries }) => searchEntries,
      (error: unknown) => {
        if (error instanceof SizeLimitExceededError) return undefined
        throw error
      },
    )
    if (!entries || entries.length > 1) {
      this.#log.warn('a name is not one of a single user of the directory', { provider: this.name })
      return undefined
    }
    return entries[0]
  }

  async #account(client: Client, entry: Entry, typed: string): Promise<ExternalAccount> {
    const { subjectAttribute, nameAttribute, emailAttribute, displayNameAttribute } = this.#options
    const subject = firstValue(entry, subjectAttribute)
    if (subject === null) throw new Error(`an entry has no ${subjectAttribute} that we may read`)
    return {
      issuer: this.issuer,
      subject,
      name: firstValue(entry, nameAttribute) ?? typed,
      email: firstValue(entry, emailAttribute),
      displayName: firstValue(entry, displayNameAttribute),
      groups: await this.#groups(client, entry, typed),
    }
  }

  /** By name and by DN, as the configuration may call them. */
  async #groups(client: Client, entry: Entry, name: string): Promise<string[]> {
    const { groupBase, groupFilter, groupAttribute, memberOfAttribute } = this.#options
    const groups = memberOfAttribute === '' ? [] : valuesOf(entry, memberOfAttribute)
    if (groupBase !== '') {
      const filter = groupFilter
        .replaceAll('{dn}', () => Filter.escape(entry.dn))
        .replaceAll('{name}', () => Filter.escape(name))
      const { searchEntries } = await client.search(groupBase, {
        scope: 'sub',
        filter,
        attributes: [groupAttribute],
        sizeLimit: GROUPS_MAX,
        derefAliases: 'never',
      })
      for (const group of searchEntries) groups.push(group.dn, ...valuesOf(group, groupAttribute))
    }
    return [...new Set(groups)]
  }

  /** Few at once; each with a connection that ends with it. */
  #connected<T>(work: (client: Client) => Promise<T>): Promise<T> {
    return this.#work.run(async () => {
      const { bindDn, bindPassword } = this.#options
      const client = await this.#open()
      try {
        if (bindDn !== '') await client.bind(bindDn, bindPassword)
        return await work(client)
      } finally {
        await client.unbind().catch(() => {})
      }
    })
  }

  async #open(): Promise<Client> {
    const { url, startTls, ca, timeoutMs } = this.#options
    const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
    const tls: ConnectionOptions = {
      host,
      minVersion: 'TLSv1.2',
      ...(isIP(host) === 0 && { servername: host }),
      ...(ca !== undefined && { ca }),
    }
    const client = new Client({
      url,
      timeout: timeoutMs,
      connectTimeout: timeoutMs,
      strictDN: false,
      ...(url.startsWith('ldaps:') && { tlsOptions: tls }),
    })
    if (startTls) await withinTime(client.startTLS(tls), timeoutMs, () => client.unbind())
    return client
  }
}

/** The library gives the handshake of StartTLS no time of its own. */
async function withinTime(work: Promise<void>, ms: number, giveUp: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no TLS within ${ms} ms`)), ms)
  })
  try {
    await Promise.race([work, tooLate])
  } catch (error) {
    work.catch(() => {})
    await giveUp().catch(() => {})
    throw error
  } finally {
    clearTimeout(timer)
  }
}

function isBinary(attribute: string): boolean {
  return BINARY_SUBJECTS.has(attribute.toLowerCase())
}

/** Attributes are called as the directory likes: case does not count. */
function valuesOf(entry: Entry, attribute: string): string[] {
  const name = Object.keys(entry).find((key) => key.toLowerCase() === attribute.toLowerCase())
  const value = name === undefined ? undefined : entry[name]
  return [value ?? []].flat().map((one) => (Buffer.isBuffer(one) ? one.toString('hex') : one))
}

function firstValue(entry: Entry, attribute: string): string | null {
  const [first] = attribute === '' ? [] : valuesOf(entry, attribute)
  return first === undefined || first === '' ? null : first.slice(0, TEXT_CHARS_MAX)
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
