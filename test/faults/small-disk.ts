// A disk that is full soon: a tmpfs of a given size, which is unmounted in any case.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Skipped } from './part.ts'

export class SmallDisk implements Disposable {
  readonly folder: string
  readonly #unmount: () => void
  #fillers = 0

  private constructor(folder: string) {
    this.folder = folder
    this.#unmount = () => {
      spawnSync('umount', ['-l', folder])
      rmSync(folder, { recursive: true, force: true })
    }
    process.once('exit', this.#unmount)
  }

  /** @throws Skipped where mounting is not allowed */
  static mount(size: `${number}m`): SmallDisk {
    if (process.getuid?.() !== 0) throw new Skipped('mounting a small tmpfs needs root')
    const folder = mkdtempSync(join(tmpdir(), 'small-disk-'))
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], {
      encoding: 'utf8',
    })
    if (status === 0) return new SmallDisk(folder)
    rmdirSync(folder)
    throw new Skipped(`mounting a small tmpfs is not allowed: ${stderr?.trim()}`)
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder)
    return bavail * bsize
  }

  /** Takes space away. Without a size: all that is left. Returns what gives it back. */
  fill(bytes?: number): () => void {
    this.#fillers += 1
    const path = join(this.folder, `filler-${this.#fillers}`)
    if (bytes !== undefined) writeFileSync(path, Buffer.alloc(bytes))
    else {
      // A page at a time, so that nothing is left.
      const { stderr } = spawnSync('dd', ['if=/dev/zero', `of=${path}`, 'bs=4096'], { encoding: 'utf8' })
      if (!/No space left/.test(stderr)) throw new Error(`the disk could not be filled: ${stderr}`)
    }
    return () => rmSync(path, { force: true })
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#unmount)
    const { status, stderr } = spawnSync('umount', [this.folder], { encoding: 'utf8' })
    if (status !== 0) {
      this.#unmount()
      process.stderr.write(`${this.folder} was unmounted lazily: ${stderr}`)
      return
    }
    rmdirSync(this.folder)
  }
}
