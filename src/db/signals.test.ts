// Signals within one process.

import { signalsSuite } from '#db/signals.suite.ts'
import { LocalSignals } from '#db/signals.ts'

signalsSuite('memory', async () => {
  const signals = new LocalSignals()
  return { here: signals, there: signals, close: () => signals.close() }
})
