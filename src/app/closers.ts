// What ends a server: what was opened first is closed last.
export type Closers = (() => Promise<void> | void)[]

export async function closeAll(closers: Closers): Promise<void> {
  for (let close = closers.pop(); close; close = closers.pop()) await close()
}
