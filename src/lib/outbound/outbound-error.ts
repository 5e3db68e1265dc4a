// Why something outside was not reached, or not read.

export type OutboundFault =
  /** The address is not one that may be reached from here, or the URL is not one to fetch. */
  | 'refused'
  | 'unreachable'
  | 'timeout'
  /** The reply is longer than what was asked for. */
  | 'too-large'
  | 'too-many-redirects'

export class OutboundError extends Error {
  override readonly name = 'OutboundError'
  readonly fault: OutboundFault
  readonly host: string
  /** For the operator's log alone: who gave us the URL could learn from it what there is in our network. */
  readonly particulars: string | undefined

  /** @param what completes the sentence "<host> ..." */
  constructor(fault: OutboundFault, host: string, what: string, particulars?: string, cause?: unknown) {
    super(`${host} ${what}`, { cause })
    this.fault = fault
    this.host = host
    this.particulars = particulars
  }
}
