// What an error of SQLite means for whoever asked: no space, or a disk that does not do its work; all else stays as it is.
import { OciError } from '#oci/errors.ts'

/** Result codes, https://sqlite.org/rescode.html; the low byte is the primary one. */
const PRIMARY = 0xff
const SQLITE_IOERR = 10
const SQLITE_FULL = 13
/** The index of the WAL, which is memory shared through a file, could not grow. */
const SQLITE_IOERR_SHMSIZE = SQLITE_IOERR | (19 << 8)

export function databaseFailure(error: unknown): unknown {
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0
  if ((code & PRIMARY) === SQLITE_FULL || code === SQLITE_IOERR_SHMSIZE) {
    return new OciError('STORAGE_FULL', { cause: error })
  }
  if ((code & PRIMARY) === SQLITE_IOERR) return new OciError('UNAVAILABLE', { cause: error })
  return error
}
