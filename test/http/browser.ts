// As much of a browser as a login needs: cookies by host, redirects, forms.
import { request } from 'node:http'

export interface Page {
  readonly url: URL
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

interface Sent {
  readonly method?: string
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}

const REDIRECTS_MAX = 15

export class Browser {
  /** By host with port: on one machine ports are our hosts. */
  readonly cookies = new Map<string, Map<string, string>>()

  /** One request, without going where it leads. */
  async fetch(url: URL, { method = 'GET', body, headers = {} }: Sent = {}): Promise<Page> {
    const jar = this.cookies.get(url.host) ?? new Map<string, string>()
    this.cookies.set(url.host, jar)
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const page = await new Promise<Page>((resolve, reject) => {
      const outgoing = request(
        url,
        { method, agent: false, headers: { ...(cookie && { Cookie: cookie }), ...headers } },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () => {
            const { statusCode: status = 0, headers: replied } = response
            resolve({ url, status, headers: replied, body: Buffer.concat(chunks).toString() })
          })
        },
      )
      outgoing.on('error', reject)
      outgoing.end(body)
    })
    for (const set of [page.headers['set-cookie'] ?? []].flat()) {
      const [pair = '', ...attributes] = set.split(';').map((part) => part.trim())
      const equals = pair.indexOf('=')
      const isGone = attributes.some((part) => /^max-age=0$|^expires=thu, 01 jan 1970/i.test(part))
      if (isGone) jar.delete(pair.slice(0, equals))
      else jar.set(pair.slice(0, equals), pair.slice(equals + 1))
    }
    return page
  }

  /** Follows redirects to a page, or to an address that `until` knows. */
  async open(url: URL | string, sent: Sent = {}, until?: (url: URL) => boolean): Promise<Page> {
    let page = await this.fetch(new URL(url), sent)
    for (let n = 0; n < REDIRECTS_MAX; n++) {
      const { location } = page.headers
      if (page.status < 300 || page.status > 399 || typeof location !== 'string') return page
      const next = new URL(location, page.url)
      if (until?.(next)) return { ...page, url: next }
      page = await this.fetch(next)
    }
    throw new Error(`too many redirects, the last to ${page.url}`)
  }

  /** Sends the form of a page, with what is typed into it. */
  async submit(
    page: Page,
    typed: Readonly<Record<string, string>> = {},
    until?: (url: URL) => boolean,
  ): Promise<Page> {
    const form = /<form[^>]*>([\s\S]*?)<\/form>/.exec(page.body)
    if (!form) throw new Error(`no form on ${page.url}: ${page.status} ${page.body.slice(0, 500)}`)
    const action = /action="([^"]*)"/.exec(form[0])?.[1] ?? page.url.href
    const fields = new URLSearchParams()
    for (const [input] of form[0].matchAll(/<input[^>]*>/g)) {
      const name = /name="([^"]*)"/.exec(input)?.[1]
      const value = /value="([^"]*)"/.exec(input)?.[1] ?? ''
      if (name !== undefined) fields.set(name, value)
    }
    for (const [name, value] of Object.entries(typed)) fields.set(name, value)
    return this.open(
      new URL(action.replaceAll('&amp;', '&'), page.url),
      {
        method: 'POST',
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: fields.toString(),
      },
      until,
    )
  }
}
