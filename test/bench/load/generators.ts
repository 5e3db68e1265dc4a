// The programs that make load. They run as processes of their own, and what they cost is not counted.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { OCI_MANIFEST } from '#oci/media-types.ts'
import { requireProgram } from '../../tools/find-program.ts'
import type { Load } from '../scenario.ts'
import { readAb, readWrk } from './generator-output.ts'

/** Without it distribution answers 404 for an OCI manifest. */
const ACCEPT = `Accept: ${OCI_MANIFEST}`
const CONNECTIONS = 32
const REQUESTS_MAX = 10_000_000
const RUN_TIMEOUT_MS = 10 * 60_000

async function run(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(requireProgram(program), args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: RUN_TIMEOUT_MS,
  })
  let output = ''
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString('utf8')).slice(-16_384)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${output}`)
  return output
}

/** GET of one URL over 32 connections for some seconds. */
export async function getMany(
  url: string,
  seconds: number,
  headers: Readonly<Record<string, string>> = {},
): Promise<Load> {
  const more = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const args = [
    '-t1',
    `-c${CONNECTIONS}`,
    `-d${Math.max(1, Math.round(seconds))}s`,
    '-H',
    ACCEPT,
    ...more,
    url,
  ]
  return readWrk(await run('wrk', args))
}

/** HEAD of one URL over 32 kept connections for some seconds: wrk cannot, it waits for the body. */
export async function headMany(url: string, seconds: number): Promise<Load> {
  const duration = String(Math.max(1, Math.round(seconds)))
  // The order matters: -t sets a number of requests of its own, which -n then raises.
  const args = ['-i', '-k', '-q', '-c', String(CONNECTIONS), '-t', duration, '-n', String(REQUESTS_MAX)]
  return readAb(await run('ab', [...args, '-H', ACCEPT, url]))
}

/** Sends a file as the body of one PATCH, without reading it into this process. Returns the Location of the reply. */
export async function patchFile(url: string, file: string): Promise<string> {
  const type = 'Content-Type: application/octet-stream'
  const output = await run('curl', [
    ...['-sS', '--fail', '-X', 'PATCH', '-T', file],
    ...['-H', type, '-D', '-', '-o', '/dev/null', url],
  ])
  const location = /^location:\s*(\S+)/im.exec(output)?.[1]
  if (!location) throw new Error(`the reply to a PATCH has no Location:\n${output}`)
  return location
}

/** Reads a body and throws it away. Returns the seconds it took and the bytes that came. */
export async function download(url: string): Promise<{ seconds: number; bytes: number }> {
  const output = await run('curl', [
    '-sS',
    '--fail',
    '-o',
    '/dev/null',
    '-w',
    '%{time_total} %{size_download}',
    url,
  ])
  const [seconds = Number.NaN, bytes = Number.NaN] = output.split(' ').map(Number)
  return { seconds, bytes }
}

/** Lets the disk finish what earlier measurements left to it, so that no side pays for the other. */
export async function flushDisk(): Promise<void> {
  await run('sync', [])
}
