/** A function that has the work done once, soon, however often it is called until then. */
export function gather(afterMs: number, work: () => void): () => void {
  let isComing = false
  return () => {
    if (isComing) return
    isComing = true
    setTimeout(() => {
      isComing = false
      work()
    }, afterMs).unref()
  }
}
