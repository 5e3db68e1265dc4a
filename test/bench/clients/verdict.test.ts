import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Carried, CarryRow } from './compare-carriers.ts'
import { judge } from './verdict.ts'

const SET: CarryRow['set'] = {
  shape: { images: 2, layers: 2, sharedLayers: 1, layerBytes: 100 },
  layout: '',
  singles: '',
  tags: ['v0', 'v1'],
  blobs: 5,
  blobBytes: 500,
}

function carried(carrier: string, wallSeconds: number, cpuSeconds: number): Carried {
  return { carrier, wallSeconds, cpuSeconds, peakBytes: 1e8, movedBytes: 500 }
}

const PEERS = [carried('slow', 3, 0.1), carried('fast', 2, 1)]

function judged(ours: Carried) {
  return judge({ direction: 'pull', set: SET, ours, peers: PEERS })
}

test('wall and CPU time are held against the fastest of the others', () => {
  const { fastest, wall, cpu, met } = judged(carried('ours', 1.9, 1.1))
  assert.equal(fastest.carrier, 'fast')
  assert.deepEqual([wall, cpu, met], [0.95, 1.1, true])
})

for (const [what, ours] of [
  ['a wall time above that of the fastest', carried('ours', 2.1, 1)],
  ['more CPU time than 1.2 of the fastest', carried('ours', 1.9, 1.3)],
  ['more memory than 200 MB', { ...carried('ours', 1.9, 1), peakBytes: 201e6 }],
  ['a byte that went twice', { ...carried('ours', 1.9, 1), movedBytes: 501 }],
] as const) {
  test(`${what} is a miss`, () => assert.equal(judged(ours).met, false))
}
