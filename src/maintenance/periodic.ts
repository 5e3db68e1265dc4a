// Runs work again and again with a pause between the end of one run and the start of the next. A failure is logged.
import type { Log } from '#telemetry/log.ts'

/** Longest delay that a timer of the runtime takes. */
const TIMER_MS_MAX = 2 ** 31 - 1

export interface Periodic {
  /** Resolves when a run that is under way has ended; none follows. */
  stop(): Promise<void>
}

export function runPeriodically(
  name: string,
  { everyMs, firstMs }: { everyMs: number; firstMs: number },
  work: () => Promise<unknown>,
  log: Log,
): Periodic {
  let stopped = false
  let running: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout
  const schedule = (ms: number) => {
    timer = setTimeout(
      () => {
        running = run()
      },
      Math.min(ms, TIMER_MS_MAX),
    ).unref()
  }
  const run = async () => {
    try {
      await work()
    } catch (error) {
      log.error('periodic work failed', { work: name, error: String(error) })
    }
    if (!stopped) schedule(everyMs)
  }
  schedule(firstMs)
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}
