/** What is learned about a registry while pushing to it, shared by its repositories. */
export interface PushHabits {
  /** The largest chunk that it takes, learned from a 413. */
  chunkBytesMax: number
}

export function newPushHabits(): PushHabits {
  return { chunkBytesMax: Number.POSITIVE_INFINITY }
}
