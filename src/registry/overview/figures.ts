// Keeps the figures of repositories in step with the pushes and deletes, without costing those anything: they are counted again
// when somebody asks for a list, and now and then in between.
import { setImmediate as yieldToLoop } from 'node:timers/promises'
import type { Db, Transaction } from '#db/db.ts'
import { eventCursor, setEventCursor } from '#db/event-cursors.ts'
import { type EventRecord, newestEventId } from '#db/events.ts'
import { findRepository } from '#db/repositories.ts'
import { countRepository, repositoryIdsAfter } from '#db/repository-figures.ts'
import { Dispatcher } from '#events/dispatch.ts'
import type { Log } from '#telemetry/log.ts'

const SUBSCRIBER = 'figures'
/**
 * What came in without an event (another program's tree) is found by rounds of all repositories, so many a step. The first
 * round hurries: it finds what was there before there were figures.
 */
const REPOSITORIES_PER_STEP = { first: 5_000, later: 100 } as const

export class Figures {
  readonly #db: Db
  readonly #dispatcher: Dispatcher
  #roundAt = 0
  #round: keyof typeof REPOSITORIES_PER_STEP = 'first'

  private constructor(db: Db, log: Log) {
    this.#db = db
    const handle = (events: readonly EventRecord[]) => this.#countAll(events)
    this.#dispatcher = new Dispatcher(db, { name: SUBSCRIBER, writesOnly: true, handle }, log)
  }

  static async open(db: Db, log: Log): Promise<Figures> {
    const begin = async (tx: Transaction) => {
      if ((await eventCursor(tx, SUBSCRIBER)) === 0)
        await setEventCursor(tx, SUBSCRIBER, await newestEventId(tx))
    }
    await db.transaction(begin, { mayUseReserve: true })
    return new Figures(db, log)
  }

  /** Resolves when all that was pushed before the call is counted. */
  refresh(): Promise<void> {
    return this.#dispatcher.drain()
  }

  /** The next step of the round, and whatever happened. */
  async step(): Promise<void> {
    await this.refresh()
    const limit = REPOSITORIES_PER_STEP[this.#round]
    const ids = await repositoryIdsAfter(this.#db, this.#roundAt, limit)
    for (const id of ids) await this.#count(id)
    this.#roundAt = ids.length < limit ? 0 : (ids.at(-1) ?? 0)
    if (this.#roundAt === 0) this.#round = 'later'
  }

  close(): Promise<void> {
    return this.#dispatcher.close()
  }

  async #countAll(events: readonly EventRecord[]): Promise<void> {
    for (const name of new Set(events.map(({ repository }) => repository))) {
      const found = await findRepository(this.#db, name)
      if (found) await this.#count(found.id)
    }
  }

  async #count(id: number): Promise<void> {
    await countRepository(this.#db, id)
    await yieldToLoop()
  }
}
