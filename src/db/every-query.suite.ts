// All that the query files promise, on any engine.
import { accessQueriesSuite } from '#db/access-queries.suite.ts'
import { immutabilityQueriesSuite } from '#db/immutability-queries.suite.ts'
import { overviewQueriesSuite } from '#db/overview-queries.suite.ts'
import { type DbUnderTest, queriesSuite } from '#db/queries.suite.ts'
import { rateQueriesSuite } from '#db/rate-queries.suite.ts'
import { usageQueriesSuite } from '#db/usage-queries.suite.ts'

/** Each suite opens a database of its own. */
export function everyQuerySuite(engine: string, open: () => Promise<DbUnderTest>): void {
  for (const suite of [
    queriesSuite,
    accessQueriesSuite,
    usageQueriesSuite,
    immutabilityQueriesSuite,
    overviewQueriesSuite,
    rateQueriesSuite,
  ])
    suite(engine, open)
}
