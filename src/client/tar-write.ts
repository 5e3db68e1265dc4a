// Tar headers for the archives that we write: plain files of a fixed owner and time. Source: POSIX.1-2001 pax.

const BLOCK_BYTES = 512
const NAME_BYTES_MAX = 100
/** What eleven octal digits hold: 8 GiB. */
const OCTAL_SIZE_MAX = 0o77777777777

/** The header of a file, in one block, or in three where its name or size need a pax record. Names are ASCII. */
export function tarHeader(name: string, size: number): Buffer {
  const records: string[] = []
  if (name.length > NAME_BYTES_MAX) records.push(paxRecord('path', name))
  if (size > OCTAL_SIZE_MAX) records.push(paxRecord('size', String(size)))
  const header = block(name.slice(0, NAME_BYTES_MAX), Math.min(size, OCTAL_SIZE_MAX), '0')
  if (records.length === 0) return header
  const body = Buffer.from(records.join(''))
  return Buffer.concat([block('pax', body.byteLength, 'x'), body, tarPadding(body.byteLength), header])
}

/** The zeros behind content of that size. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES)
}

/** The end of an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK_BYTES)
}

function block(name: string, size: number, typeFlag: string): Buffer {
  const bytes = Buffer.alloc(BLOCK_BYTES)
  const put = (text: string, at: number) => bytes.write(text, at, 'latin1')
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`
  put(name, 0)
  put(octal(0o644, 7), 100)
  put(octal(0, 7), 108)
  put(octal(0, 7), 116)
  put(octal(size, 11), 124)
  // The same image gives the same archive, whenever it is written.
  put(octal(0, 11), 136)
  put('        ', 148)
  put(typeFlag, 156)
  put('ustar', 257)
  put('00', 263)
  put(octal(0, 7), 329)
  put(octal(0, 7), 337)
  const sum = bytes.reduce((total, byte) => total + byte, 0)
  put(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return bytes
}

/** `<length> <keyword>=<value>\n`, where the length counts its own digits. */
function paxRecord(keyword: string, value: string): string {
  const rest = ` ${keyword}=${value}\n`
  let length = rest.length
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return `${length}${rest}`
}
