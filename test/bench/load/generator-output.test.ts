import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readAb, readWrk } from './generator-output.ts'

const WRK = `Running 3s test @ http://127.0.0.1:5000/v2/
  1 threads and 32 connections
  126713 requests in 3.10s, 203.14MB read
Requests/sec:  40875.16
`
const AB = `Concurrency Level:      32
Time taken for tests:   2.871 seconds
Complete requests:      50000
Failed requests:        0
Keep-Alive requests:    50000
`

test('requests and seconds are read from what wrk prints', () => {
  assert.deepEqual(readWrk(WRK), { operations: 126_713, seconds: 3.1 })
})

test('requests and seconds are read from what ab prints', () => {
  assert.deepEqual(readAb(AB), { operations: 50_000, seconds: 2.871 })
})

test('a measurement with replies that are not successes is refused', () => {
  assert.throws(() => readWrk(`${WRK}  Non-2xx or 3xx responses: 12\n`), /not every request/)
  assert.throws(() => readWrk(`${WRK}  Socket errors: connect 0, read 3, write 0, timeout 0\n`), /not every/)
  assert.throws(() => readAb(`${AB}Non-2xx responses:      3\n`), /not every request/)
  assert.throws(
    () => readAb(AB.replace('Failed requests:        0', 'Failed requests:        7')),
    /not every/,
  )
})

test('output of another kind is an error, never a figure', () => {
  assert.throws(() => readWrk('unable to connect to 127.0.0.1:1 Connection refused'), /unexpected/)
  assert.throws(() => readAb('apr_socket_connect(): Connection refused (111)'), /unexpected/)
})
