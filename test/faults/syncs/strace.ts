// Watches, or disturbs, the system calls of a server with strace(1).
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { RunningProcess } from '../../processes/running.ts'
import { findProgram } from '../../tools/find-program.ts'
import { Skipped } from '../part.ts'

const ATTACH_MS_MAX = 10_000

/** @throws Skipped where strace is missing or may not trace */
export function requireStrace(): string {
  const strace = findProgram('strace')
  if (!strace) throw new Skipped('strace is not installed: apt-get install strace')
  const { status, stderr } = spawnSync(
    strace,
    ['-f', '-qq', '-e', 'trace=fsync', '-o', '/dev/null', 'true'],
    {
      encoding: 'utf8',
    },
  )
  if (status !== 0) throw new Skipped(`strace may not trace here: ${stderr.trim()}`)
  return strace
}

/** From now on every fdatasync of the process fails as if the disk had; of one file, where a path is given. */
export function failSyncs(pid: number, path?: string): Promise<RunningProcess> {
  return disturb(pid, 'fdatasync', 'error=EIO', path)
}

/** From now on the process is killed where it would sync that folder. */
export function killAtSync(pid: number, folder: string): Promise<RunningProcess> {
  return disturb(pid, 'fsync', 'signal=SIGKILL', folder)
}

async function disturb(pid: number, call: string, how: string, path?: string): Promise<RunningProcess> {
  const args = ['-f', '-p', String(pid), '-e', `trace=${call}`, '-e', `inject=${call}:${how}`]
  if (path !== undefined) args.push('-P', path)
  const strace = await RunningProcess.start('strace', requireStrace(), [...args, '-o', '/dev/null'])
  for (let waited = 0; !/ attached/.test(strace.output); waited += 10) {
    if (strace.hasEnded || waited > ATTACH_MS_MAX) {
      await strace.kill()
      throw new Skipped(`strace may not attach here: ${strace.output.trim()}`)
    }
    await sleep(10)
  }
  // It says so when it begins to attach to the threads; a moment later it has them all.
  await sleep(200)
  return strace
}

export interface Call {
  readonly thread: number
  readonly name: string
  readonly args: string
  /** Where in the trace it began, and where it ended: the order of lines is the order of events. */
  readonly began: number
  ended: number
}

const WHOLE = /^(\d+)\s+(\w+)\((.*)\)\s+= /
const UNFINISHED = /^(\d+)\s+(\w+)\((.*) <unfinished \.\.\.>$/
const RESUMED = /^(\d+)\s+<\.\.\. (\w+) resumed>/

/** The calls of a trace, in the order in which they began. One that never returned ends at infinity. */
export function callsIn(trace: string): Call[] {
  const calls: Call[] = []
  const open = new Map<string, Call>()
  for (const [line, text] of trace.split('\n').entries()) {
    const whole = WHOLE.exec(text)
    const begun = whole ?? UNFINISHED.exec(text)
    if (begun) {
      const [, thread = '', name = '', args = ''] = begun
      const call = { thread: Number(thread), name, args, began: line, ended: whole ? line : Infinity }
      calls.push(call)
      if (!whole) open.set(thread, call)
      continue
    }
    const [, thread = ''] = RESUMED.exec(text) ?? []
    const call = open.get(thread)
    if (call) call.ended = line
    open.delete(thread)
  }
  return calls
}
