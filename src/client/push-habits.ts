/** What is learned about a registry while pushing to it, shared by its repositories. */
export interface PushHabits {
  /** False once it answered a POST with a body by opening an upload. */
  takesWholePost: boolean
  /** The largest chunk that it takes, learned from a 413. */
  chunkBytesMax: number
}

export function newPushHabits(): PushHabits {
  return { takesWholePost: true, chunkBytesMax: Number.POSITIVE_INFINITY }
}
