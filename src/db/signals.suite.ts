// What every way of signalling promises.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { Signals } from '#db/signals.ts'

export interface SignalsUnderTest {
  /** Two that reach each other; the same one where there is a single process. */
  readonly here: Signals
  readonly there: Signals
  readonly close: () => Promise<void>
}

export function signalsSuite(name: string, open: () => Promise<SignalsUnderTest>): void {
  describe(`signals by ${name}`, () => {
    let opened: SignalsUnderTest
    before(async () => {
      opened = await open()
    })
    after(() => opened.close())

    const next = (signals: Signals, topic: string) =>
      new Promise<string>((resolve) => {
        const end = signals.subscribe(topic, (text) => {
          end()
          resolve(text)
        })
      })

    test('reach subscribers of the topic in every process, with their text', async () => {
      const heard = [next(opened.here, 'a'), next(opened.there, 'a')]
      opened.here.publish('a', "it's \\ here: \u00fc")
      assert.deepEqual(await Promise.all(heard), ["it's \\ here: \u00fc", "it's \\ here: \u00fc"])
      const back = next(opened.here, 'b')
      opened.there.publish('b')
      assert.equal(await back, '')
    })

    test('reach nobody else, and nobody who has left', async () => {
      const heard: string[] = []
      const leave = opened.there.subscribe('left', (text) => heard.push(text))
      opened.there.subscribe('other', (text) => heard.push(text))
      leave()
      const marker = next(opened.there, 'marker')
      opened.here.publish('left', 'x')
      opened.here.publish('marker')
      await marker
      await wait(20)
      assert.deepEqual(heard, [])
    })
  })
}
