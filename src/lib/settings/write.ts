// Writes an effective value back as the tree that a file would hold, with secrets masked.
import type { Tree } from '../yaml-tree.ts'
import type { Node } from './node.ts'

export const MASK = '********'

/** The tree of `value`, which `node` declares; undefined where there is nothing to write. */
export function writeSettings(node: Node, value: unknown): Tree | undefined {
  if (value === undefined) return undefined
  switch (node.kind) {
    case 'setting': {
      const text = node.write(value)
      return node.secret && text !== '' ? MASK : text
    }
    case 'list':
      return (value as readonly unknown[]).map((item) => writeSettings(node.item, item) ?? null)
    case 'map':
      return Object.fromEntries(
        Object.entries(value as Record<string, unknown>).map(([key, item]) => [
          key,
          writeSettings(node.item, item) ?? null,
        ]),
      )
    case 'section': {
      const values = value as Record<string, unknown>
      const entries: [string, Tree][] = []
      for (const [key, child] of Object.entries(node.keys)) {
        if (child.kind === 'foreign') continue
        const written = writeSettings(child, values[child.kind === 'setting' ? key + child.unit : key])
        if (written !== undefined) entries.push([key, written])
      }
      return Object.fromEntries(entries)
    }
    case 'foreign':
      return undefined
  }
}
