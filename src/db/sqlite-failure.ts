// What an error of SQLite means for whoever asked: no space, or a disk that does not do its work; all else stays as it is.
import { OciError } from '#oci/errors.ts'

/** Result codes, https://sqlite.org/rescode.html; the low byte is the primary one. */
const PRIMARY = 0xff
const SQLITE_BUSY = 5
const SQLITE_IOERR = 10
const SQLITE_FULL = 13
/** The index of the WAL, which is memory shared through a file, could not grow. */
const SQLITE_IOERR_SHMSIZE = SQLITE_IOERR | (19 << 8)

/** Whether an error, or one that it was caused by, says that the database finds no space. */
export function meansFull(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const told = databaseFailure(cause)
    if (told instanceof OciError && told.reason === 'STORAGE_FULL') return true
  }
  return false
}

/** Whether another process has the lock. */
export function meansBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & PRIMARY) === SQLITE_BUSY
}

export function databaseFailure(error: unknown): unknown {
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0
  if ((code & PRIMARY) === SQLITE_FULL || code === SQLITE_IOERR_SHMSIZE) {
    return new OciError('STORAGE_FULL', { cause: error })
  }
  if ((code & PRIMARY) === SQLITE_IOERR) return new OciError('UNAVAILABLE', { cause: error })
  return error
}
