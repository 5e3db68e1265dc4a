// What went wrong at other registries: each advisory that concerns what this one does has tests that name it.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

/** Ids as tests name them. Those about proxies for other registries come with such a proxy. */
const ADVISORIES = {
  'the protocol and its bytes': [
    ...['CVE-2017-11468', 'CVE-2021-41190', 'CVE-2023-2253', 'CVE-2026-35172', 'CVE-2026-41888', '#4713'],
    ...['CVE-2024-3727', 'CVE-2026-48753', 'CVE-2020-15157'],
  ],
  'tokens and their signatures': [
    ...['CVE-2025-24976', 'CVE-2026-44351', 'CVE-2026-107720', 'CVE-2026-44699', 'CVE-2026-48526'],
    ...['CVE-2026-27962', 'CVE-2026-32597', 'CVE-2025-30204', 'CVE-2026-123710', '#23270'],
  ],
  'who may do what': [
    ...['CVE-2024-39897', 'CVE-2026-31801', 'CVE-2019-12825', 'CVE-2019-16097', 'CVE-2019-19023'],
    ...['CVE-2022-31666', 'CVE-2024-22278', 'CVE-2026-27771', 'CVE-2026-117685', 'CVE-2025-68944'],
    ...['CVE-2020-29662', 'CVE-2026-32589', 'CVE-2026-32590', '#22900', '#23675'],
  ],
  'groups, names and what can be found out': [
    ...['CVE-2025-23208', 'CVE-2019-19030', 'CVE-2020-13794', 'CVE-2023-20902', 'CVE-2026-110697'],
    ...['CVE-2019-19026', 'CVE-2019-19029', 'CVE-2024-22261', 'CVE-2025-30086'],
  ],
  'browsers and headers': [
    ...['CVE-2019-19025', 'CVE-2024-22244', 'CVE-2025-32019', 'CVE-2020-27832', 'CVE-2023-3384'],
    ...['CVE-2026-20896', '#3977', '#3978', '#3982', '#3984', 'callback_ui'],
  ],
  secrets: ['GHSA-j7jh-fmcm-xxwv', 'CVE-2026-4404', 'CVE-2026-18255', 'CVE-2026-105447'],
  'requests to elsewhere': ['CVE-2020-13788', 'CVE-2026-2377', 'CVE-2026-32591', 'CVE-2026-85471'],
}

/** The texts of all tests but this one. */
const tests = globSync(['src/**/*.{test,suite}.ts', 'test/**/*.{test,suite}.ts'])
  .filter((file) => !file.endsWith('advisories.test.ts'))
  .map((file) => readFileSync(file, 'utf8'))
  .join('\n')

for (const [about, ids] of Object.entries(ADVISORIES))
  test(`advisories about ${about} are named by tests`, () => {
    assert.deepEqual(
      ids.filter((id) => !tests.includes(id)),
      [],
    )
  })
