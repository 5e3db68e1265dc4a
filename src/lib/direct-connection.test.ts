import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseHead } from '#lib/direct-connection.ts'

test('a plain reply is read, with its headers in lower case', () => {
  const head = parseHead('HTTP/1.1 206 Partial Content\r\nContent-Length: 12\r\nETag:  "x" \r\nA: 1\r\na: 2')
  assert.deepEqual(
    { ...head, headers: { ...head?.headers } },
    { status: 206, length: 12, keepAlive: true, headers: { 'content-length': '12', etag: '"x"', a: '1, 2' } },
  )
})

test('a reply that announces its end is not followed by another', () => {
  assert.equal(
    parseHead('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive, Close')?.keepAlive,
    false,
  )
})

test('204 and 304 have no body, whatever they say', () => {
  assert.equal(parseHead('HTTP/1.1 204 No Content')?.length, 0)
  assert.equal(parseHead('HTTP/1.1 304 Not Modified\r\nContent-Length: 99')?.length, 0)
})

const left = [
  'HTTP/1.1 200 OK',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked',
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked',
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6',
  'HTTP/1.1 200 OK\r\nContent-Length: 5, 5',
  'HTTP/1.1 200 OK\r\nContent-Length: -5',
  'HTTP/1.1 200 OK\r\nContent-Length: 0x5',
  'HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999',
  'HTTP/1.1 200 OK\r\nContent-Length : 5',
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n folded: header',
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nno colon',
  'HTTP/1.1 200 OK\nContent-Length: 5',
  'HTTP/1.1 100 Continue\r\nContent-Length: 5',
  'HTTP/1.0 200 OK\r\nContent-Length: 5',
  'HTTP/2 200\r\nContent-Length: 5',
  'ICY 200 OK\r\nContent-Length: 5',
  'HTTP/1.1 20 OK\r\nContent-Length: 5',
  '',
]

for (const text of left) {
  test(`${JSON.stringify(text)} is left to another reader`, () => {
    assert.equal(parseHead(text), undefined)
  })
}
