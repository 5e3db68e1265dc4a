// Tokens as attackers put them together, for whatever believes signed tokens: none of them may be believed.
import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { TOKEN_CHARS_MAX, TokenRefused } from '#access/tokens/signed-claims.ts'
import { KeyRing, thumbprint } from '#access/tokens/token-keys.ts'

export const NOW = Date.UTC(2026, 0, 2)
export const seconds = NOW / 1_000
export const ours = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' })
export const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
export const KID = 'key-1'
export const keys = new KeyRing([
  { key: ours.publicKey, kid: KID, algorithm: 'ES256' },
  { key: rsa.publicKey, kid: 'rsa' },
])

export type Members = Readonly<Record<string, unknown>>
export const HEADER: Members = { typ: 'JWT', alg: 'ES256', kid: KID }

export const encode = (value: string | Members) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

function ecSignature(text: string, key: KeyObject): string {
  return sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')
}

/** A token as anybody could put it together; members of undefined are left out. */
export function token(
  header: string | Members,
  claims: string | Members,
  signature: (text: string) => string = (text) => ecSignature(text, ours.privateKey),
): string {
  const text = `${encode(header)}.${encode(claims)}`
  return `${text}.${signature(text)}`
}

export interface Believer {
  /** What a good token says here. */
  readonly claims: Members
  /** @throws TokenRefused */
  verify(token: string): Promise<unknown>
}

/** @param open a fresh one for each token, with `keys`, the audience `registry` and the issuer of its claims */
export function forgedTokensSuite(name: string, open: () => Believer): void {
  const { claims: CLAIMS } = open()
  const good = token(HEADER, CLAIMS)

  async function refused(text: string, why?: RegExp): Promise<void> {
    await assert.rejects(open().verify(text), (error) => {
      assert.ok(error instanceof TokenRefused, String(error))
      if (why) assert.match(error.message, why)
      return true
    })
  }

  describe(`${name} believes no forged token`, () => {
    test('Quay CVE-2026-123710: a token for another audience is refused', async () => {
      await refused(token(HEADER, { ...CLAIMS, aud: 'quay' }), /aud/)
      await refused(token(HEADER, { ...CLAIMS, aud: ['quay', ''] }), /aud/)
    })

    test('Harbor #23270: a token without the time of its issue is refused, and crashes nothing', async () => {
      await refused(token(HEADER, { ...CLAIMS, iat: undefined }), /iat/)
      for (const iat of [null, '', {}, [], 'now']) await refused(token(HEADER, { ...CLAIMS, iat }))
    })

    test('distribution CVE-2025-24976: a trusted name does not make a key in the header ours', async () => {
      const jwk = { ...foreign.publicKey.export({ format: 'jwk' }), kid: KID }
      const byForeign = (text: string) => ecSignature(text, foreign.privateKey)
      await refused(token({ ...HEADER, jwk }, CLAIMS, byForeign), /not trusted/)
      await refused(token({ alg: 'ES256', jwk }, CLAIMS, byForeign), /not trusted/)
      await refused(
        token({ ...HEADER, kid: thumbprint(ours.publicKey), jwk }, CLAIMS, byForeign),
        /not trusted/,
      )
      await refused(token(HEADER, CLAIMS, byForeign), /signature/)
      await refused(token({ ...HEADER, x5c: [] }, CLAIMS), /not trusted/)
      await refused(token({ ...HEADER, jwk: { ...jwk, x5c: ['AAAA'] } }, CLAIMS, byForeign), /not trusted/)
    })

    test('CVE-2026-44699: no key is fetched from where a header says', async () => {
      const byForeign = (text: string) => ecSignature(text, foreign.privateKey)
      await refused(
        token({ ...HEADER, jku: 'http://127.0.0.1:1/', x5u: 'http://127.0.0.1:1/' }, CLAIMS, byForeign),
      )
    })

    test('fast-jwt CVE-2026-44351: an empty or short secret signs nothing', async () => {
      for (const secret of ['', 'a', KID]) {
        const mac = (text: string) => createHmac('sha256', secret).update(text).digest('base64url')
        await refused(token({ ...HEADER, alg: 'HS256' }, CLAIMS, mac), /algorithm/)
      }
      await refused(
        token(HEADER, CLAIMS, () => ''),
        /compact/,
      )
      await refused(
        token(HEADER, CLAIMS, () => 'AA'),
        /signature/,
      )
      await refused(
        token(HEADER, CLAIMS, () => Buffer.alloc(64).toString('base64url')),
        /signature/,
      )
    })

    test('fast-jwt CVE-2026-107720: a public key is not taken for a shared secret', async () => {
      for (const { publicKey } of [ours, rsa]) {
        for (const secret of [
          publicKey.export({ type: 'spki', format: 'pem' }),
          publicKey.export({ type: 'spki', format: 'der' }),
          JSON.stringify(publicKey.export({ format: 'jwk' })),
        ])
          for (const bits of ['256', '384', '512'])
            for (const kid of [KID, 'rsa']) {
              const mac = (text: string) => createHmac(`sha${bits}`, secret).update(text).digest('base64url')
              await refused(token({ alg: `HS${bits}`, kid }, CLAIMS, mac), /algorithm/)
            }
      }
    })

    for (const alg of [
      'none',
      'None',
      'NONE',
      'nOnE',
      '',
      'es256',
      'HS256',
      'A128KW',
      undefined,
      null,
      7,
      ['ES256'],
    ])
      test(`CVE-2026-48526: the algorithm ${JSON.stringify(alg)} is refused, signed or not`, async () => {
        await refused(token({ ...HEADER, alg }, CLAIMS), /algorithm/)
        await refused(`${encode({ ...HEADER, alg })}.${encode(CLAIMS)}.`)
        await refused(`${encode({ ...HEADER, alg })}.${encode(CLAIMS)}`)
      })

    test('a key serves only the algorithm that its set names, and only a kind of key that the algorithm has', async () => {
      await refused(token({ ...HEADER, alg: 'ES384' }, CLAIMS), /not for/)
      await refused(token({ alg: 'ES256', kid: 'rsa' }, CLAIMS))
      await refused(token({ alg: 'RS256', kid: KID }, CLAIMS), /not for/)
    })

    for (const crit of [['exp'], ['b64'], ['http://example.com/x'], [], '', null, {}])
      test(`authlib CVE-2026-27962: the critical extension ${JSON.stringify(crit)} is refused`, async () => {
        await refused(token({ ...HEADER, crit, b64: false, exp: 1 }, CLAIMS), /critical/)
      })

    test('CVE-2026-32597: a member that stands twice is refused, in header and claims, at any depth', async () => {
      const twice = (text: Members, member: string) => JSON.stringify(text).replace(/}$/, `,${member}}`)
      await refused(token(twice(HEADER, '"alg":"ES256"'), CLAIMS), /twice/)
      await refused(token(twice(HEADER, `"\\u006bid":"${KID}"`), CLAIMS), /twice/)
      await refused(token(HEADER, twice(CLAIMS, '"sub":"root"')), /twice/)
      const access = '"access":[{"type":"repository","name":"a","name":"b","actions":["pull"]}]'
      await refused(token(HEADER, twice({ ...CLAIMS, access: undefined }, access)), /twice/)
    })

    for (const kid of [
      '../../../dev/null',
      '/etc/passwd',
      "' OR 1=1 --",
      '',
      '__proto__',
      'constructor',
      7,
      null,
      [KID],
      {},
    ])
      test(`a key by the name ${JSON.stringify(kid)} is only looked up, and is not there`, async () => {
        await refused(token({ ...HEADER, kid }, CLAIMS), /not trusted/)
      })

    test('golang-jwt CVE-2025-30204: a megabyte of dots is refused by its size', async () => {
      await refused('.'.repeat(1_000_000), /longer than/)
      await refused(`${good}${'.'.repeat(TOKEN_CHARS_MAX)}`, /longer than/)
      await refused('.'.repeat(TOKEN_CHARS_MAX), /compact/)
      await refused(`${good}.${good}`, /compact/)
    })

    for (const [what, text] of [
      ['nothing', ''],
      ['JSON that is deep', token(HEADER, `{"a":${'['.repeat(3_000)}${']'.repeat(3_000)}}`)],
      ['a list', token('[]', CLAIMS)],
      ['a list of claims', token(HEADER, '[]')],
      ['no JSON', token('x', CLAIMS)],
      ['padding', `${good}=`],
      ['a line break', `${good}\n`],
      [
        'JSON serialization',
        JSON.stringify({ payload: encode(CLAIMS), protected: encode(HEADER), signature: 'x' }),
      ],
      ['an encrypted token', `${encode({ alg: 'dir', enc: 'A128GCM' })}.AA.AA.AA.AA`],
    ] as const)
      test(`${what} is refused`, () => refused(text))

    test('whatever is put into the three parts, the answer is a refusal', async () => {
      const part = fc.oneof(
        fc.string({ unit: 'binary' }).map((text) => Buffer.from(text).toString('base64url')),
        fc.json().map(encode),
        fc
          .dictionary(fc.constantFrom('alg', 'kid', 'jwk', 'x5c', 'crit', 'typ'), fc.jsonValue())
          .map((o) => encode({ ...o })),
        fc
          .dictionary(fc.constantFrom('alg', 'kid', 'jwk', 'x5c'), fc.jsonValue())
          .map((o) => encode({ ...HEADER, ...o })),
        fc.constantFrom(...good.split('.')),
        fc.string(),
      )
      const ecPart = good.split('.')
      await fc.assert(
        fc.asyncProperty(part, part, part, async (...parts) => {
          fc.pre(parts.join('.') !== ecPart.join('.'))
          await refused(parts.join('.'))
        }),
        { numRuns: 300 },
      )
    })

    test('a token with one changed character is refused', async () => {
      const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
      await fc.assert(
        fc.asyncProperty(fc.nat(good.length - 1), fc.constantFrom(...characters), async (at, character) => {
          const changed = good.slice(0, at) + character + good.slice(at + 1)
          fc.pre(changed !== good && at !== good.length - 1)
          await refused(changed)
        }),
        { numRuns: 300 },
      )
    })
  })
}
