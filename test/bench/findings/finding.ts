// One figure that is not a comparison: memory, start-up time, the growth of a page's cost.
export interface Finding {
  readonly title: string
  readonly value: number
  readonly unit: string
  /** The largest value that is accepted; absent where the figure is only told. */
  readonly atMost?: number
  readonly note: string
}
