import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSecureContext, getCiphers } from 'node:tls'
import { opensslCiphers, TLS_CIPHER_NAMES } from './tls-cipher-names.ts'

test('every name is a suite that this runtime knows and accepts', () => {
  const known = new Set(getCiphers())
  for (const name of TLS_CIPHER_NAMES) {
    const ciphers = opensslCiphers([name])
    assert.ok(ciphers !== undefined && known.has(ciphers.toLowerCase()), name)
    createSecureContext({ ciphers })
  }
})

test('several names are joined in their order, and none leaves the choice to the runtime', () => {
  const names = ['TLS_AES_128_GCM_SHA256', 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256']
  assert.equal(opensslCiphers(names), 'TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256')
  assert.equal(opensslCiphers([]), undefined)
})
