// Reads what the official suite wrote: junit.xml for every single test, results.yaml for the state of each API and data set.
import { parse } from 'yaml'

export interface Counts {
  readonly pass: number
  readonly fail: number
  readonly skip: number
  readonly error: number
  readonly disabled: number
  readonly total: number
}

export interface Finding {
  readonly name: string
  /** `failure`, `skipped` or `error`, as JUnit calls them. */
  readonly status: string
  /** What the suite says about it, without the exchange of messages. */
  readonly reason: string
}

export interface SuiteResults {
  readonly counts: Counts
  /** Every test that did not pass. */
  readonly findings: readonly Finding[]
  /** APIs and data sets that the suite was told to leave out. */
  readonly disabled: readonly string[]
}

const NAMED_ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function decodeXml(text: string): string {
  return text.replace(/&(?:#x([0-9A-Fa-f]+)|#(\d+)|(\w+));/g, (whole, hex, decimal, name) => {
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16))
    if (decimal) return String.fromCodePoint(Number(decimal))
    return NAMED_ENTITIES[name] ?? whole
  })
}

function attributesOf(tag: string): Record<string, string> {
  const pairs = [...tag.matchAll(/([\w-]+)="([^"]*)"/g)]
  return Object.fromEntries(pairs.map((pair) => [pair[1] ?? '', decodeXml(pair[2] ?? '')]))
}

function countsOf(junit: string): Counts {
  const root = attributesOf(/<testsuites\b[^>]*>/.exec(junit)?.[0] ?? '')
  if (root['tests'] === undefined) throw new Error('junit.xml has no <testsuites tests="...">')
  const count = (name: string) => Number(root[name] ?? 0)
  const total = count('tests')
  const [fail, skip, error, disabled] = ['failures', 'skipped', 'errors', 'disabled'].map(count) as [
    number,
    number,
    number,
    number,
  ]
  return { pass: total - fail - skip - error - disabled, fail, skip, error, disabled, total }
}

function findingsOf(junit: string): Finding[] {
  const findings: Finding[] = []
  for (const match of junit.matchAll(/(<testcase\b[^>]*>)(?:([\s\S]*?)<\/testcase>)?/g)) {
    const { name = '', status = '' } = attributesOf(match[1] ?? '')
    if (status === 'passed') continue
    const said = /<system-out>([\s\S]*?)<\/system-out>/.exec(match[2] ?? '')?.[1] ?? ''
    findings.push({ name: name.replace(/^[^/]*\//, ''), status, reason: decodeXml(said).trim() })
  }
  return findings
}

function disabledIn(resultsYaml: string): string[] {
  const { apis, data } = parse(resultsYaml) as Record<'apis' | 'data', Record<string, string> | undefined>
  return Object.entries({ ...apis, ...data })
    .filter(([, status]) => status === 'Disabled')
    .map(([name]) => name)
    .sort()
}

/** @throws Error when the files are not what the suite writes */
export function readResults(junit: string, resultsYaml: string): SuiteResults {
  return { counts: countsOf(junit), findings: findingsOf(junit), disabled: disabledIn(resultsYaml) }
}

/** True when everything that was asked for passed, and nothing was left out but `allowedDisabled`. */
export function isClean(results: SuiteResults, allowedDisabled: readonly string[]): boolean {
  const { pass, total } = results.counts
  return (
    total > 0 &&
    pass === total &&
    results.findings.length === 0 &&
    results.disabled.every((name) => allowedDisabled.includes(name))
  )
}
