// What the registry has promised: for every blob, manifest and tag the states in which it may be found.
//
// A thing has one state while nothing is under way, and gains a second when a request begins to change it. The answer leaves
// only the new one; a kill leaves both, until somebody looks.
import type { Findings } from '../findings.ts'

/** The state of what is not there. Of a blob or manifest that is there it is its digest, of a tag what it points at. */
export const ABSENT = ''

export interface Thing {
  readonly kind: 'blob' | 'manifest' | 'tag'
  readonly repository: string
  /** A digest or a tag. */
  readonly name: string
}

interface Entry {
  readonly thing: Thing
  states: Set<string>
}

function keyOf({ kind, repository, name }: Thing): string {
  return `${kind} ${repository} ${name}`
}

export class Ledger {
  /** Changes that were answered. */
  readonly acknowledged = { blob: 0, manifest: 0, tag: 0, deleted: 0 }
  /** Requests that were under way at a kill, and turned out to have been done. */
  doneUnanswered = 0
  readonly #entries = new Map<string, Entry>()
  #touched = new Set<Entry>()

  /** A request that will bring the thing into that state is about to be sent. */
  begin(thing: Thing, state: string): void {
    const entry = this.#entry(thing)
    entry.states.add(state)
    this.#touched.add(entry)
  }

  /** The registry said that it is done. */
  acknowledge(thing: Thing, state: string): void {
    this.#entry(thing).states = new Set([state])
    this.acknowledged[state === ABSENT ? 'deleted' : thing.kind] += 1
  }

  /** The one state of a thing; undefined while there are two. */
  stateOf(thing: Thing): string | undefined {
    const { states } = this.#entry(thing)
    const [state] = states
    return states.size === 1 ? state : undefined
  }

  mayBe(thing: Thing, state: string): boolean {
    return this.#entries.get(keyOf(thing))?.states.has(state) ?? state === ABSENT
  }

  /** The things that requests have named since the last call. */
  takeTouched(): Thing[] {
    const touched = [...this.#touched].map(({ thing }) => thing)
    this.#touched = new Set()
    return touched
  }

  things(): Thing[] {
    return Array.from(this.#entries.values(), ({ thing }) => thing)
  }

  /** Compares what was found with what was promised, and takes it as the state from now on. */
  found(thing: Thing, state: string, findings: Findings): void {
    const entry = this.#entry(thing)
    if (!entry.states.has(state)) {
      const expected = [...entry.states].map((each) => each || 'absent').join(' or ')
      findings.add(kindOfSurprise(entry, state), `${keyOf(thing)} is ${state || 'absent'}, not ${expected}`)
    } else if (entry.states.size > 1 && state !== entry.states.values().next().value) {
      this.doneUnanswered += 1
    }
    entry.states = new Set([state])
  }

  #entry(thing: Thing): Entry {
    const key = keyOf(thing)
    let entry = this.#entries.get(key)
    if (!entry) {
      entry = { thing, states: new Set([ABSENT]) }
      this.#entries.set(key, entry)
    }
    return entry
  }
}

function kindOfSurprise({ thing, states }: Entry, found: string): 'lost' | 'undead' | 'unacknowledged' {
  if (found === ABSENT) return 'lost'
  if (thing.kind === 'tag') return 'unacknowledged'
  return states.has(ABSENT) && states.size === 1 ? 'undead' : 'lost'
}
