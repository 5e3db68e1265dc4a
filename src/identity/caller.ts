// Who asks and from where, as events and the access log record it.
import { ANONYMOUS, type Principal } from '#identity/principal.ts'

export interface Caller {
  readonly principal: Principal
  /** Unique for each request; the log has the details under it. */
  readonly requestId: string
  /** Address of the client, undefined for work of our own. */
  readonly remote?: string | undefined
  readonly userAgent?: string | undefined
  readonly method?: string | undefined
  /** Scheme and authority by which the client named us; asked for only where it is recorded. */
  readonly origin?: (() => string) | undefined
}

/** Whether no request asked for it. */
export function isOwnWork({ remote }: Caller): boolean {
  return remote === undefined
}

/** Work that no request asked for: adoption, sweeping. */
export function internalCaller(task: string): Caller {
  return { principal: ANONYMOUS, requestId: task }
}
