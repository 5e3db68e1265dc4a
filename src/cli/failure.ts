// What an error means for whoever typed the command: the exit code, a sentence, and what to do next.
// Errors are told by their names: the rooms that throw them are loaded only by the commands that need them.
import { CommandFailure, EXIT, type ExitCode } from '#cli/output.ts'

export interface Failure {
  readonly exitCode: ExitCode
  /** One word for scripts: the client's kind, the layer's code, the registry's reason, or the system's code. */
  readonly kind: string
  readonly message: string
  readonly hint: string | undefined
}

const OF_CLIENT: Readonly<Record<string, ExitCode>> = {
  unauthorized: EXIT.denied,
  denied: EXIT.denied,
  'not-found': EXIT.notFound,
  'rate-limited': EXIT.network,
  unreachable: EXIT.network,
  timeout: EXIT.network,
  server: EXIT.network,
  tls: EXIT.network,
  corrupt: EXIT.verification,
}

/** Where this command line knows better than the library what to type next. */
const HINTS: Readonly<Record<string, string>> = {
  unauthorized: 'log in with: stowage login REGISTRY',
  tls: 'name the authority of the registry with --ca FILE, or take any certificate with --insecure',
  DESTINATION_OCCUPIED: 'name a folder that is absent or empty',
  LIMIT_PASSED: 'the image unfolds to more than is accepted from a stranger',
  ENOENT: 'check the path',
  EACCES: 'check the rights of the file or folder',
  ENOSPC: 'free some space, then run the same command again: it goes on where it stopped',
}

const OF_LAYER: ReadonlySet<string> = new Set(['DIFF_ID_MISMATCH', 'COMPRESSION_BROKEN', 'ARCHIVE_BROKEN'])

export function describeFailure(error: unknown): Failure {
  if (error instanceof CommandFailure) {
    const { exitCode, message, hint } = error
    return { exitCode, kind: nameOf(exitCode), message, hint }
  }
  if (!(error instanceof Error)) return failed('failed', String(error))
  if (error.name === 'ClientError' && 'kind' in error && typeof error.kind === 'string') {
    const own = 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined
    const { kind, message } = error
    return { exitCode: OF_CLIENT[kind] ?? EXIT.failed, kind, message, hint: HINTS[kind] ?? own }
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  if (error.name === 'LayerError' && code !== undefined) {
    const exitCode = OF_LAYER.has(code) ? EXIT.verification : EXIT.failed
    return { exitCode, kind: code, message: error.message, hint: HINTS[code] }
  }
  if (error.name === 'OciError' && 'reason' in error) {
    const { detail } = error as { detail?: unknown }
    const said = detail === undefined ? '' : ` (${JSON.stringify(detail)})`
    return {
      exitCode: EXIT.usage,
      kind: String(error.reason),
      message: error.message + said,
      hint: undefined,
    }
  }
  if (code === 'ENOENT')
    return { exitCode: EXIT.notFound, kind: code, message: error.message, hint: HINTS[code] }
  return failed(code ?? 'failed', error.message)
}

function failed(kind: string, message: string): Failure {
  return { exitCode: EXIT.failed, kind, message, hint: HINTS[kind] }
}

function nameOf(exitCode: ExitCode): string {
  return Object.entries(EXIT).find(([, value]) => value === exitCode)?.[0] ?? 'failed'
}
