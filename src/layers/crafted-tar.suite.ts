// Makes small tars for tests, hostile ones too: every field is what the test says, without a check.
import { gzipSync } from 'node:zlib'
import type { LayerSource } from '#layers/read.ts'
import { digestOf } from '#oci/digest.ts'

export interface CraftedEntry {
  readonly name: string | Buffer
  /** POSIX type flag; default '0', or '5' for a name that ends in "/". */
  readonly type?: string
  readonly content?: Uint8Array | string
  /** What the header says; default the length of content. */
  readonly size?: number
  readonly link?: string | Buffer
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly mtime?: number
  readonly device?: readonly [number, number]
  readonly pax?: Readonly<Record<string, string | Buffer>>
}

function octal(value: number, digits: number): string {
  return `${value.toString(8).padStart(digits, '0')}\0`
}

export function header(entry: CraftedEntry): Buffer {
  const block = Buffer.alloc(512)
  const text = Buffer.isBuffer(entry.name) ? entry.name : Buffer.from(entry.name)
  const type = entry.type ?? (text.at(-1) === 0x2f ? '5' : '0')
  text.copy(block, 0, 0, 100)
  block.write(octal(entry.mode ?? (type === '5' ? 0o755 : 0o644), 7), 100)
  block.write(octal(entry.uid ?? 0, 7), 108)
  block.write(octal(entry.gid ?? 0, 7), 116)
  block.write(octal(entry.size ?? Buffer.byteLength(entry.content ?? ''), 11), 124)
  block.write(octal(entry.mtime ?? 1_700_000_000, 11), 136)
  block.write(type, 156, 'latin1')
  Buffer.from(entry.link ?? '').copy(block, 157, 0, 100)
  block.write('ustar\x0000', 257, 'latin1')
  block.write(octal(entry.device?.[0] ?? 0, 7), 329)
  block.write(octal(entry.device?.[1] ?? 0, 7), 337)
  return sealed(block)
}

/** Sets the checksum. */
export function sealed(block: Buffer): Buffer {
  block.fill(0x20, 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

function filled(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)])
}

export function paxRecord(keyword: string, value: string | Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(` ${keyword}=`), Buffer.from(value), Buffer.from('\n')])
  let length = body.length + 1
  while (String(length).length + body.length !== length) length = String(length).length + body.length
  return Buffer.concat([Buffer.from(String(length)), body])
}

export function member(entry: CraftedEntry): Buffer {
  const pieces: Buffer[] = []
  if (entry.pax) {
    const records = Buffer.concat(
      Object.entries(entry.pax).map(([keyword, value]) => paxRecord(keyword, value)),
    )
    pieces.push(header({ name: 'PaxHeaders/x', type: 'x', size: records.length }), filled(records))
  }
  const content = Buffer.from(entry.content ?? '')
  return Buffer.concat([...pieces, header(entry), filled(content)])
}

export function tarOf(...entries: readonly CraftedEntry[]): Buffer {
  return Buffer.concat([...entries.map(member), Buffer.alloc(1024)])
}

export async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  // One buffer used again and again: whoever keeps a chunk for longer than it is lent reads something else.
  const lent = new Uint8Array(pieceBytes)
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes)
    lent.set(piece)
    yield lent.subarray(0, piece.length)
    lent.fill(0xaa)
  }
}

/** A gzip layer of that tar, whose DiffID is right. */
export function layerOf(tar: Buffer): LayerSource {
  const stored = gzipSync(tar)
  return {
    open: () => inPieces(stored, 1000),
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    diffId: digestOf(tar),
  }
}

export function layer(...entries: readonly CraftedEntry[]): LayerSource {
  return layerOf(tarOf(...entries))
}
