import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isClean, readResults } from './results.ts'

const JUNIT = `<testsuites time="12.37" tests="4" failures="1" skipped="1">
  <testsuite name="OCI Conformance Test" tests="4" failures="1" errors="0" skipped="1" time="12.37">
    <testcase name="OCI Conformance Test/ping" classname="" time="0.001" status="passed">
      <system-err>Status: 200&#xA;{}</system-err>
    </testcase>
    <testcase name="OCI Conformance Test/empty/referrers" classname="" time="0.001" status="failure">
      <system-out>expected &#34;index&#34;, received [&#34;text/plain&#34;]&#xA;unexpected status 404</system-out>
      <system-err>~~~ REQUEST ~~~</system-err>
    </testcase>
    <testcase name="OCI Conformance Test/sha256 blobs/post only/blob-post-only" status="skipped">
      <system-out>registry does not support content in the POST &amp; PUT</system-out>
    </testcase>
  </testsuite>
</testsuites>`

const CLEAN = '<testsuites tests="2"><testcase name="s/ping" status="passed"></testcase></testsuites>'

test('counts, and every test that did not pass with its reason, are read from what the suite writes', () => {
  const results = readResults(JUNIT, 'apis:\n  Ping: Pass\ndata:\n  Image: FAIL\n')
  assert.deepEqual(results.counts, { pass: 2, fail: 1, skip: 1, error: 0, disabled: 0, total: 4 })
  assert.deepEqual(results.findings, [
    {
      name: 'empty/referrers',
      status: 'failure',
      reason: 'expected "index", received ["text/plain"]\nunexpected status 404',
    },
    {
      name: 'sha256 blobs/post only/blob-post-only',
      status: 'skipped',
      reason: 'registry does not support content in the POST & PUT',
    },
  ])
  assert.equal(isClean(results, []), false)
})

test('a data set that was left out is clean only where it was meant to be', () => {
  const results = readResults(CLEAN, 'apis:\n  Ping: Pass\ndata:\n  Sparse Manifests: Disabled\n')
  assert.deepEqual(results.disabled, ['Sparse Manifests'])
  assert.equal(isClean(results, ['Sparse Manifests']), true)
  assert.equal(isClean(results, []), false)
})

test('a run of no tests at all is not clean', () => {
  assert.equal(isClean(readResults('<testsuites tests="0"></testsuites>', 'apis: {}\ndata: {}\n'), []), false)
})

test('a file that is not a report is refused', () => {
  assert.throws(() => readResults('<html></html>', 'apis: {}'), /testsuites/)
})
