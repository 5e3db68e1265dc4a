// The lines of docs/operate/webhooks.md that check a signature check one.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { signatureOf } from '#events/webhooks/message.ts'

test('the code that the page shows takes what is signed, and nothing else', async () => {
  const [, code] = /```js\n([\s\S]*?)```/.exec(readFileSync('docs/operate/webhooks.md', 'utf8')) ?? []
  const page = (await import(
    `data:text/javascript,${encodeURIComponent(`${code}\nexport { isSigned }`)}`
  )) as {
    isSigned(secret: string, header: string, body: string): boolean
  }
  const signed = (secret: string, body: string, at: number) => signatureOf(secret, body, at)
  const now = Date.now()
  assert.equal(page.isSigned('secret', signed('secret', '{"a":"ü"}', now), '{"a":"ü"}'), true)
  assert.equal(page.isSigned('secret', signed('other', 'x', now), 'x'), false)
  assert.equal(page.isSigned('secret', signed('secret', 'x', now), 'y'), false)
  assert.equal(page.isSigned('secret', signed('secret', 'x', now - 600_000), 'x'), false)
  assert.equal(page.isSigned('secret', '', 'x'), false)
})
