import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressGroup, bareAddress } from './address-group.ts'

test('an IPv4 address is a client, however it is written', () => {
  for (const remote of ['192.0.2.1', '::ffff:192.0.2.1', '192.0.2.1:4711', '[::ffff:192.0.2.1]:80'])
    assert.equal(addressGroup(remote), '192.0.2.1', remote)
  assert.notEqual(addressGroup('192.0.2.2'), '192.0.2.1')
})

test('all addresses of one /64 are a client, however they are written', () => {
  for (const remote of [
    '2001:db8:1:2::1',
    '2001:0DB8:0001:0002:ffff:0:0:9',
    '[2001:db8:1:2::7]:4711',
    '[2001:db8:1:2::7]',
    '2001:db8:1:2:3:4:192.0.2.1',
    '2001:db8:1:2::5%eth0',
  ])
    assert.equal(addressGroup(remote), '2001:db8:1:2::/64', remote)
  assert.equal(addressGroup('2001:db8:1:3::1'), '2001:db8:1:3::/64')
  assert.equal(addressGroup('::1'), '0:0:0:0::/64')
  assert.equal(addressGroup('2001::'), '2001:0:0:0::/64')
})

test('what is no address stays what it is, within bounds', () => {
  assert.equal(addressGroup('_hidden'), '_hidden')
  assert.equal(addressGroup(''), '')
  assert.equal(addressGroup('x'.repeat(1_000)).length, 64)
  assert.equal(bareAddress('unknown'), 'unknown')
})
