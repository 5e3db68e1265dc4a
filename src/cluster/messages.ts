// What the processes of one server say to each other, over the channel that comes with a fork.

/** To a worker. */
export type Order<Init> =
  | { readonly kind: 'begin'; readonly init: Init }
  | SignalMessage
  | { readonly kind: 'measure'; readonly id: number }
  | { readonly kind: 'reload'; readonly id: number }
  | { readonly kind: 'stop' }

/** From a worker. */
export type Report =
  /** It can take orders. */
  | { readonly kind: 'up' }
  | { readonly kind: 'ready'; readonly address: string; readonly port: number | undefined }
  | { readonly kind: 'failed'; readonly message: string }
  | SignalMessage
  | { readonly kind: 'answer'; readonly id: number; readonly value?: unknown; readonly error?: string }

export interface SignalMessage {
  readonly kind: 'signal'
  readonly topic: string
  readonly text: string
}
