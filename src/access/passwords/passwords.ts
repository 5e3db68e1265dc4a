// Passwords of users: argon2id (RFC 9106), as a PHC string. Hashes of bcrypt, from htpasswd files, are checked too.
import { type Argon2Parameters, argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

/** OWASP's smallest: 19 MiB, two passes, one lane. */
const MEMORY_KIB = 19 * 1024
const PASSES = 2
const LANES = 1
const SALT_BYTES = 16
const TAG_BYTES = 32
/** A database that somebody else wrote must not make a check take all the memory there is. */
const MEMORY_KIB_MAX = 256 * 1024
const PASSES_MAX = 16

export const PASSWORD_CHARS_MIN = 8
/** Longer ones are not typed, and hashing them would be a way to keep us busy. */
export const PASSWORD_CHARS_MAX = 256

/** What installations of other registries came with, and what is tried first. */
const WELL_KNOWN = new Set([
  ...['harbor12345', 'changeme', 'changeit', 'password', 'password1', 'passw0rd', 'admin123', 'admin1234'],
  ...[
    'administrator',
    'registry',
    'stowage1',
    '12345678',
    '123456789',
    '1234567890',
    'qwertyuiop',
    'secret123',
  ],
  ...['letmein123', 'p@ssw0rd', 'zot-admin', 'quay12345', 'admin@123', 'welcome1', 'testtest', 'adminadmin'],
])

const argon2Async = promisify(argon2)

/** A sentence about what is wrong with it; undefined when it is good enough. */
export function passwordFault(password: string): string | undefined {
  if (password.length < PASSWORD_CHARS_MIN) return `must have at least ${PASSWORD_CHARS_MIN} characters`
  if (password.length > PASSWORD_CHARS_MAX) return `must have at most ${PASSWORD_CHARS_MAX} characters`
  if (WELL_KNOWN.has(password.toLowerCase())) return 'is a password that everybody knows'
  return undefined
}

/** 24 random bytes, as text. */
export function randomPassword(): string {
  return randomBytes(24).toString('base64url')
}

export async function hashPassword(password: string): Promise<string> {
  const nonce = randomBytes(SALT_BYTES)
  const tag = await derive(password, {
    nonce,
    parallelism: LANES,
    tagLength: TAG_BYTES,
    memory: MEMORY_KIB,
    passes: PASSES,
  })
  return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES}$${unpadded(nonce)}$${unpadded(tag)}`
}

/** A hash that no password is known for: checking against it takes as long as against one that is. */
export const DECOY_HASH = `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES}$${unpadded(Buffer.alloc(SALT_BYTES))}$${unpadded(Buffer.alloc(TAG_BYTES))}`

/** Whether it is a whole hash of bcrypt that costs no more than a check may. */
export async function isImportable(hashed: string): Promise<boolean> {
  const { costOf } = await import('#access/passwords/bcrypt.ts')
  return costOf(hashed) <= BCRYPT_COST_MAX
}

/** A hash that was imported takes another time to check than those of this registry, and so tells who has one. */
export function isForeignHash(hashed: string): boolean {
  return BCRYPT_PREFIX.test(hashed)
}

const BCRYPT_PREFIX = /^\$2[aby]\$/

/** False also for a hash that cannot be read. */
export async function checkPassword(password: string, hashed: string): Promise<boolean> {
  if (password.length > PASSWORD_CHARS_MAX) return false
  if (isForeignHash(hashed)) {
    const { costOf, verifyPassword } = await import('#access/passwords/bcrypt.ts')
    return costOf(hashed) <= BCRYPT_COST_MAX && (await verifyPassword(password, hashed))
  }
  const parsed =
    /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([\w+/]{11,88})\$([\w+/]{16,88})$/.exec(hashed)
  if (!parsed) return false
  const [memory = 0, passes = 0, parallelism = 0] = parsed.slice(1, 4).map(Number)
  if (memory > MEMORY_KIB_MAX || passes > PASSES_MAX || parallelism < 1 || memory < 8 * parallelism)
    return false
  const [nonce, expected] = parsed.slice(4).map((text) => Buffer.from(text, 'base64'))
  if (!nonce || !expected) return false
  const tag = await derive(password, { nonce, parallelism, tagLength: expected.length, memory, passes })
  return timingSafeEqual(tag, expected)
}

/** A hash that costs more would hold a thread for minutes; 2^16 rounds take seconds. */
export const BCRYPT_COST_MAX = 16

function derive(password: string, parameters: Omit<Argon2Parameters, 'message'>): Promise<Buffer> {
  return argon2Async('argon2id', { ...parameters, message: Buffer.from(password.normalize('NFC'), 'utf8') })
}

/** PHC strings have base64 without padding. */
function unpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '')
}
