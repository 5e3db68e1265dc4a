import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import { RunningProcess } from './running.ts'
import { cpuSecondsOf, memoryOf, untilQuiet } from './usage.ts'

/** Uses 400 ms of CPU time, says so, and stays a little, because a process that is gone is no longer counted. */
const SPIN = 'while (process.cpuUsage().user < 400_000); console.log("spun"); setTimeout(() => {}, 3000)'

test('the CPU time of a process and of its children is counted', async () => {
  const child = `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(SPIN)}], { stdio: 'inherit' })`
  const running = await RunningProcess.start('spinner', process.execPath, ['-e', `${child}; ${SPIN}`])
  try {
    while (running.output.split('spun').length < 3) await sleep(10)
    const seconds = cpuSecondsOf(running.pid)
    assert.ok(seconds >= 0.78, `two processes used 0.4 s each, ${seconds} s were counted`)
    const memory = memoryOf(running.pid)
    assert.ok(memory.peakBytes >= memory.residentBytes && memory.residentBytes > 20_000_000)
    assert.equal(await untilQuiet(running.pid, 10_000), true)
  } finally {
    await running.stop()
  }
  assert.equal(running.hasEnded, true)
})

test('a process that goes on working is told from one that is quiet', async () => {
  const running = await RunningProcess.start('busy', process.execPath, ['-e', 'for (;;);'])
  try {
    assert.equal(await untilQuiet(running.pid, 700), false)
  } finally {
    await running.stop()
  }
})

test('a program that ignores the request to end is ended at the deadline', async () => {
  const script = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up')"
  const running = await RunningProcess.start('stubborn', process.execPath, ['-e', script])
  while (!running.output.includes('up')) await sleep(10)
  assert.equal(await running.stop(200), false)
  assert.equal(running.hasEnded, true)
})

test('waiting for a program that ends tells what it printed', async () => {
  const running = await RunningProcess.start('broken', process.execPath, [
    '-e',
    'console.error("no such key"); process.exit(2)',
  ])
  const port = await freePort()
  await assert.rejects(
    running.untilAnswers(`http://127.0.0.1:${port}/`),
    /ended before it answered:\nno such key/,
  )
})

test('a free port can be listened on', async () => {
  const port = await freePort()
  const server = createServer().listen(port, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  server.close()
})
