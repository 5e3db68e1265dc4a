// Gives back what loading the program took: V8 keeps the room that parsing and compiling needed, and an idle process has no
// garbage that would make it look.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (options: { type: 'major'; flavor: 'last-resort' }) => void

/** Blocks for some tens of milliseconds: to be called once, when nothing is under way yet. */
export function releaseHeap(): void {
  // There is no other door to V8's collector; a new context gets it from the flag, the one that we run in does not.
  setFlagsFromString('--expose-gc')
  const collect: Collect = runInNewContext('gc')
  setFlagsFromString('--no-expose-gc')
  collect({ type: 'major', flavor: 'last-resort' })
}
