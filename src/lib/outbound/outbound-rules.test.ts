import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seeAddress } from './address-kinds.ts'
import { OutboundError } from './outbound-error.ts'
import { isAllowEntry, OutboundRules } from './outbound-rules.ts'

for (const [address, special] of [
  ['93.184.216.34', undefined],
  ['1.1.1.1', undefined],
  ['172.32.0.1', undefined],
  ['100.63.255.255', undefined],
  ['2606:4700::1111', undefined],
  ['64:ff9b::5db8:d822', undefined],
  ['0.0.0.0', 'unspecified'],
  ['127.0.0.1', 'loopback'],
  ['127.255.255.254', 'loopback'],
  ['10.1.2.3', 'private'],
  ['172.16.0.1', 'private'],
  ['172.31.255.255', 'private'],
  ['192.168.1.1', 'private'],
  ['100.64.0.1', 'carrier-grade NAT'],
  ['100.100.100.200', 'carrier-grade NAT'],
  ['169.254.169.254', 'link-local'],
  ['168.63.129.16', 'metadata'],
  ['192.0.0.192', 'reserved'],
  ['198.18.0.1', 'reserved'],
  ['255.255.255.255', 'reserved'],
  ['224.0.0.1', 'multicast'],
  ['::', 'unspecified'],
  ['::1', 'loopback'],
  ['0:0:0:0:0:0:0:1', 'loopback'],
  ['::ffff:127.0.0.1', 'loopback'],
  ['::ffff:7f00:1', 'loopback'],
  ['0:0:0:0:0:ffff:a9fe:a9fe', 'link-local'],
  ['::ffff:0:10.0.0.1', 'private'],
  ['::127.0.0.1', 'loopback'],
  ['::a00:1', 'private'],
  ['64:ff9b::127.0.0.1', 'loopback'],
  ['64:ff9b::a9fe:a9fe', 'link-local'],
  ['64:ff9b:1::a00:1', 'tunnelled'],
  ['2002:7f00:1::', 'tunnelled'],
  ['2001:0:4136:e378:8000:63bf:3fff:fdd2', 'tunnelled'],
  ['fd00:ec2::254', 'private'],
  ['fe80::1', 'link-local'],
  ['fe80::1%eth0', 'link-local'],
  ['fec0::1', 'private'],
  ['ff02::1', 'multicast'],
  ['2001:db8::1', 'reserved'],
  ['100::1', 'reserved'],
  ['5f00::1', 'reserved'],
] as const)
  test(`${address} is ${special ?? 'public'}`, () => assert.equal(seeAddress(address)?.special, special))

test('what is no address is none', () => {
  for (const text of ['', 'localhost', '127.1', '0x7f.1', '2130706433', '1.2.3.4.5', ':::'])
    assert.equal(seeAddress(text), undefined)
})

const refused = (error: unknown) => error instanceof OutboundError && error.fault === 'refused'

test('an allowed range lets its addresses pass, in every writing, and no others', () => {
  const rules = new OutboundRules(['10.1.0.0/16', 'fd12::/16'])
  for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '64:ff9b::10.1.2.3', 'fd12::5'])
    rules.checkAddress('h', address)
  for (const address of ['10.2.0.1', '::ffff:10.2.0.1', 'fd13::5', '127.0.0.1', 'nonsense'])
    assert.throws(() => rules.checkAddress('h', address), refused)
})

test('an allowed host is named whole or by its domain', () => {
  const rules = new OutboundRules(['GitLab.internal', '*.corp.example', 'localhost'])
  for (const host of ['gitlab.internal', 'gitlab.internal.', 'a.b.corp.example', 'LOCALHOST'])
    assert.ok(rules.allowsHost(host), host)
  for (const host of ['x.gitlab.internal', 'corp.example', 'evilcorp.example', 'gitlab.internal.evil'])
    assert.ok(!rules.allowsHost(host), host)
})

test('an allow list holds hosts, addresses and ranges, and nothing that could be read as something else', () => {
  for (const entry of ['10.0.0.0/8', '::1', 'a', 'a-b.c', '*.c1.d', 'xn--bcher-kva.example'])
    assert.ok(isAllowEntry(entry), entry)
  for (const entry of [
    '',
    '*',
    '*.',
    '10.0.0.0/33',
    '127.1',
    '2130706433',
    'http://a',
    'a/b',
    'a:80',
    '.a',
    'a..b',
  ])
    assert.ok(!isAllowEntry(entry), entry)
  assert.throws(() => new OutboundRules(['http://a']), /neither/)
})

test('the reason for the caller does not tell what there is in our network', () => {
  assert.throws(
    () => new OutboundRules([]).checkAddress('hook.example', '10.9.8.7'),
    (error: OutboundError) =>
      !error.message.includes('10.9.8.7') && error.particulars?.includes('10.9.8.7') === true,
  )
})
