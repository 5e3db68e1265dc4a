// What the certificate of a client calls him, when one of our authorities (`http.tls.clientcas`) has signed it.
import type { X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { CertificateNames } from '#access/certificates/certificate-rules.ts'

const NAMES_MAX = 100

export class ClientCertificates {
  /** Read once a connection. */
  readonly #known = new WeakMap<X509Certificate, CertificateNames>()

  /** Undefined without a certificate, and for one that was not verified: names in that are nobody's. */
  namesOf(request: IncomingMessage): CertificateNames | undefined {
    const socket = request.socket as Partial<TLSSocket>
    if (socket.encrypted !== true || socket.authorized !== true) return undefined
    const certificate = socket.getPeerX509Certificate?.()
    if (!certificate) return undefined
    const known = this.#known.get(certificate)
    if (known) return known
    const names = readNames(certificate)
    this.#known.set(certificate, names)
    return names
  }
}

function readNames({ subject, subjectAltName }: X509Certificate): CertificateNames {
  const alternatives = readAlternativeNames(subjectAltName ?? '')
  const of = (kind: string) => alternatives.filter(([name]) => name === kind).map(([, value]) => value)
  return {
    commonNames: readCommonNames(subject),
    dns: of('DNS'),
    emails: of('email'),
    uris: of('URI'),
  }
}

/** A line for each part: `CN=ann`. What a line break could have put there is escaped by Node, and no name here has a `\`. */
function readCommonNames(subject: string | undefined): string[] {
  return (subject ?? '')
    .split('\n')
    .flatMap((line) => line.split(/(?<=[^\\])\+(?=[A-Za-z.0-9]+=)/))
    .filter((part) => part.startsWith('CN='))
    .map((part) => part.slice('CN='.length).replaceAll(/\\([+,;=<>"#])/g, '$1'))
    .slice(0, NAMES_MAX)
}

/** `DNS:a, URI:"quoted, since CVE-2021-44532"`: what is quoted is JSON. Nothing at all where it cannot be read to its end. */
function readAlternativeNames(text: string): (readonly [string, string])[] {
  const found: (readonly [string, string])[] = []
  const entry = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y
  while (entry.lastIndex < text.length) {
    const match = entry.exec(text)
    if (!match || found.length === NAMES_MAX) return []
    const [, kind = '', value = ''] = match
    found.push([kind, value.startsWith('"') ? (JSON.parse(value) as string) : value])
  }
  return found
}
