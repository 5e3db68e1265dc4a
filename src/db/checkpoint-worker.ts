// Moves the WAL into the database file, on a thread of its own: a checkpoint syncs the disk, and the event loop must not.
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'

const database = new DatabaseSync((workerData as { path: string }).path)
database.exec('pragma busy_timeout = 10000; pragma synchronous = normal; pragma wal_autocheckpoint = 0')

parentPort?.on('message', (message: 'checkpoint' | 'close') => {
  if (message === 'close') {
    database.close()
    parentPort?.close()
    return
  }
  try {
    database.exec('pragma wal_checkpoint(passive)')
    parentPort?.postMessage('done')
  } catch (error) {
    parentPort?.postMessage(`failed: ${error instanceof Error ? error.message : error}`)
  }
})
