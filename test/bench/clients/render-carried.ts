// The figures of the clients as cells of a table: a line for each client, ours first and with what is required of it.
import { figure } from '../render.ts'
import type { Carried, CarryRow, Direction } from './compare-carriers.ts'
import type { ImageSet } from './image-set.ts'
import { judge, REQUIRED } from './verdict.ts'

const MB = 1_000_000

export const CARRY_HEADINGS = [
  'Operation',
  'Client',
  'wall',
  'ours / fastest (required)',
  'CPU',
  'ours / fastest’s (required)',
  'peak memory',
  'blob bytes moved / unique',
  '',
]

export function carryCells(rows: readonly CarryRow[]): string[][] {
  return rows.flatMap((row) => [
    oursOf(row),
    ...row.peers.map((peer) => cells('', peer, row.set, { wall: '', cpu: '', mark: '' })),
  ])
}

function oursOf(row: CarryRow): string[] {
  const { wall, cpu, met, fastest } = judge(row)
  return cells(titleOf(row.direction, row.set), row.ours, row.set, {
    wall: `${wall.toFixed(2)}x of ${fastest.carrier} (<= ${REQUIRED.wallAtMost}x)`,
    cpu: `${cpu.toFixed(2)}x (<= ${REQUIRED.cpuAtMost}x)`,
    mark: met ? 'ok' : 'miss',
  })
}

function cells(
  title: string,
  one: Carried,
  set: ImageSet,
  said: { readonly wall: string; readonly cpu: string; readonly mark: string },
): string[] {
  const moved = one.movedBytes === undefined ? '' : `${grouped(one.movedBytes)} / ${grouped(set.blobBytes)}`
  return [
    title,
    one.carrier,
    `${figure(one.wallSeconds)} s`,
    said.wall,
    `${figure(one.cpuSeconds)} s`,
    said.cpu,
    `${figure(one.peakBytes / MB)} MB`,
    moved,
    said.mark,
  ]
}

function titleOf(direction: Direction, { shape }: ImageSet): string {
  const { images, layers, sharedLayers, layerBytes } = shape
  const layersText = `${layers} layers x ${figure(layerBytes / MB)} MB`
  return images === 1
    ? `${direction} of ${layersText}`
    : `${direction} of ${images} images of ${layersText}, ${sharedLayers} shared`
}

function grouped(bytes: number): string {
  return bytes.toLocaleString('en-US')
}
