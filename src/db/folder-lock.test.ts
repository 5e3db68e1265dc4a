import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { joinFolder, type LockHolder, lockFolder } from '#db/folder-lock.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stowage-lock-'))
})
after(() => rm(folder, { recursive: true, force: true }))

const HOLDER: LockHolder = { pid: process.pid, host: 'this-host', since: '2026-01-01T00:00:00.000Z' }

/** Another process that locks the folder and then waits to be killed. */
async function holdElsewhere(path: string) {
  const program = `
    import { lockFolder } from ${JSON.stringify(new URL('./folder-lock.ts', import.meta.url).href)}
    await lockFolder(${JSON.stringify(path)}, { pid: process.pid, host: 'elsewhere', since: '2026-02-03T04:05:06.000Z' })
    process.stdout.write('locked')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  return child
}

test('a second process is refused and told who holds the folder; after a kill -9 of that one it gets it', async () => {
  const path = join(folder, 'shared')
  const child = await holdElsewhere(path)
  try {
    await assert.rejects(lockFolder(path, HOLDER), (error: Error) => {
      assert.match(
        error.message,
        new RegExp(`${path}: process ${child.pid} on elsewhere, running since 2026-02-03T04:05:06`),
      )
      return true
    })
  } finally {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  const lock = await lockFolder(path, HOLDER)
  lock.release()
})

test('a folder that was released can be locked again, and one lock excludes another in the same process', async () => {
  const path = join(folder, 'again')
  const first = await lockFolder(path, HOLDER)
  await assert.rejects(lockFolder(path, HOLDER), /process \d+ on this-host/)
  first.release()
  const second = await lockFolder(path, HOLDER)
  second.release()
})

test('a holder that left no readable name is still a holder', async () => {
  const path = join(folder, 'nameless')
  const lock = await lockFolder(path, HOLDER)
  await writeFile(join(path, 'holder.json'), '{"pid":')
  await assert.rejects(lockFolder(path, HOLDER), /a process that did not leave its name/)
  lock.release()
})

test('a server that follows waits for the workers of the one before', async () => {
  const path = join(folder, 'with-workers')
  const first = await lockFolder(path, HOLDER)
  const worker = joinFolder(path)
  first.release()
  let locked = false
  const second = lockFolder(path, HOLDER).then((lock) => {
    locked = true
    return lock
  })
  await wait(150)
  assert.equal(locked, false, 'while a worker is there')
  worker.release()
  const lock = await second
  const [one, other] = [joinFolder(path), joinFolder(path)]
  one.release()
  other.release()
  lock.release()
})
