import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ListenAddress, parseListenAddress } from './listen-address.ts'

const CASES: readonly (readonly [string, ListenAddress | undefined])[] = [
  [':5000', { port: 5000 }],
  ['127.0.0.1:5000', { host: '127.0.0.1', port: 5000 }],
  ['[::1]:5000', { host: '::1', port: 5000 }],
  ['localhost:0', { host: 'localhost', port: 0 }],
  ['5000', undefined],
  ['', undefined],
  ['::1:5000', undefined],
  ['[localhost]:5000', undefined],
  [':65536', undefined],
  ['http://localhost:5000', undefined],
]

for (const [text, address] of CASES) {
  test(`${JSON.stringify(text)} is ${address ? JSON.stringify(address) : 'no address to listen on'}`, () => {
    assert.deepEqual(parseListenAddress(text), address)
  })
}
