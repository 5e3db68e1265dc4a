// People of an LDAP directory: a real OpenLDAP.
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { Client } from 'ldapts'
import { findGroup, groupMemberPage, insertGroup } from '#db/groups.ts'
import { findUser } from '#db/users.ts'
import {
  ADMIN_DN,
  ADMIN_PASSWORD,
  type SlapdServer,
  SUFFIX,
  slapdAbsent,
  startSlapd,
} from '../processes/slapd-server.ts'
import { type Answer, json, send } from './client.ts'
import { expectStatus } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const PASSWORD = 'correct horse battery'
const PEOPLE = `ou=people,${SUFFIX}`
const GROUPS = `ou=groups,${SUFFIX}`
const READER = `cn=reader,ou=services,${SUFFIX}`

function person(uid: string, more = ''): string {
  return `dn: uid=${uid},${PEOPLE}\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid.toUpperCase()}\nsn: x\nmail: ${uid}@example.com\nuserPassword: secret of ${uid}\n${more}`
}

function entriesWith(strangePort: number): string {
  return [
    `dn: ${PEOPLE}\nobjectClass: organizationalUnit\nou: people`,
    `dn: ${GROUPS}\nobjectClass: organizationalUnit\nou: groups`,
    `dn: ou=services,${SUFFIX}\nobjectClass: organizationalUnit\nou: services`,
    `dn: ${READER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: reads`,
    ...['ann', 'bob', 'eve'].map((uid) => person(uid)),
    // Two of one name: nobody knows who is meant.
    person('twin'),
    `dn: ou=more,${PEOPLE}\nobjectClass: organizationalUnit\nou: more`,
    `dn: uid=twin,ou=more,${PEOPLE}\nobjectClass: inetOrgPerson\nuid: twin\ncn: T\nsn: x\nuserPassword: secret of twin`,
    // Somebody whose data stands elsewhere, they say.
    `dn: ou=branch,${PEOPLE}\nobjectClass: referral\nobjectClass: extensibleObject\nou: branch\nref: ldap://127.0.0.1:${strangePort}/${PEOPLE}`,
    `dn: cn=Dev Team,${GROUPS}\nobjectClass: groupOfNames\ncn: Dev Team\nmember: uid=ann,${PEOPLE}\nmember: uid=bob,${PEOPLE}`,
    `dn: cn=ops,${GROUPS}\nobjectClass: groupOfNames\ncn: ops\nmember: uid=ann,${PEOPLE}`,
    `dn: cn=admins,${GROUPS}\nobjectClass: groupOfNames\ncn: admins\nmember: uid=bob,${PEOPLE}`,
  ].join('\n\n')
}

const basic = (user: string, password: string) => ({
  Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

describe('by LDAP', { skip: slapdAbsent() }, () => {
  let slapd: SlapdServer
  let server: TestServer
  let strangers = 0
  const strange = createServer(() => {
    strangers++
  })

  const keys = (more: object = {}) =>
    JSON.stringify({
      url: slapd.secureUrl,
      cafile: slapd.certificate.certificate,
      binddn: READER,
      bindpassword: 'reads',
      userbase: PEOPLE,
      groupbase: GROUPS,
      groups: { 'Dev Team': 'devs' },
      admingroups: [`cn=admins,${GROUPS}`],
      recheck: '0s',
      timeout: '2s',
      ...more,
    })

  function open(more: object = {}): Promise<TestServer> {
    return startServer({
      adminPassword: PASSWORD,
      env: { REGISTRY_AUTH: 'stowage', REGISTRY_AUTH_STOWAGE_LDAP: keys(more) },
    })
  }

  let addresses = 0
  function call(
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: unknown,
    at = server,
  ): Promise<Answer> {
    return send({ port: at.port }, method, path, {
      headers: {
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
        'X-Forwarded-For': `198.51.100.${++addresses % 250}`,
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
  }

  const come = async (user: string, password: string, at = server) =>
    (await call('GET', '/v2/', basic(user, password), undefined, at)).status

  async function membersOf(group: string): Promise<string[]> {
    const { db } = server.app.registry
    return groupMemberPage(db, (await findGroup(db, group))?.id ?? -1, '', 100)
  }

  async function changed(work: (client: Client) => Promise<void>): Promise<void> {
    const client = new Client({ url: slapd.url })
    await client.bind(ADMIN_DN, ADMIN_PASSWORD)
    await work(client)
    await client.unbind()
  }

  before(async () => {
    await new Promise<void>((resolve) => strange.listen(0, '127.0.0.1', resolve))
    const address = strange.address()
    slapd = await startSlapd(entriesWith(typeof address === 'object' ? (address?.port ?? 0) : 0))
    server = await open()
    await server.app.registry.db.transaction(async (tx) => {
      await insertGroup(tx, 'ops', 1)
    })
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await slapd[Symbol.asyncDispose]()
    strange.close()
  })

  test('somebody comes in with the password of the directory, with groups and role', async () => {
    assert.equal(await come('ann', 'secret of ann'), 200)
    const ann = await findUser(server.app.registry.db, 'ann')
    assert.deepEqual([ann?.email, ann?.displayName, ann?.externalRole], ['ann@example.com', 'ANN', null])
    assert.deepEqual([await membersOf('devs'), await membersOf('ops')], [['ann'], ['ann']])
    assert.equal(await come('bob', 'secret of bob'), 200)
    expectStatus(await call('GET', '/api/v1/users', basic('bob', 'secret of bob')), 200)
    expectStatus(await call('GET', '/api/v1/users', basic('ann', 'secret of ann')), 403)
    // The directory does not tell upper from lower case: it is one person, and one user.
    assert.equal(await come('ANN', 'secret of ann'), 200)
    assert.equal(await findUser(server.app.registry.db, 'ann-2'), undefined)
  })

  test('a wrong password, none, and what would change the search let nobody in', async () => {
    for (const [user, password] of [
      ['ann', 'wrong'],
      ['ann', ''],
      ['ann', 'secret of bob'],
      ['nobody', 'secret of ann'],
      ['*', 'secret of ann'],
      ['a*', 'secret of ann'],
      ['ann)(uid=*', 'secret of ann'],
      ['*)(|(uid=ann', 'secret of ann'],
      ['ann\\2a', 'secret of ann'],
      ['{name}', 'secret of ann'],
      [`uid=ann,${PEOPLE}`, 'secret of ann'],
      ['twin', 'secret of twin'],
    ] as const)
      assert.equal(await come(user, password), 401, `${user}:${password}`)
    const login = await call('POST', '/auth/login', {}, { name: 'ann', password: '' })
    expectStatus(login, 400)
  })

  test('no referral is followed', async () => {
    assert.equal(await come('ann', 'secret of ann'), 200)
    assert.equal(strangers, 0)
  })

  test('a local user keeps his password, and the directory does not see it', async () => {
    const admin = basic('admin', PASSWORD)
    expectStatus(
      await call('POST', '/api/v1/users', admin, { name: 'eve', password: 'another good one' }),
      201,
    )
    assert.equal(await come('eve', 'secret of eve'), 401)
    assert.equal(await come('eve', 'another good one'), 200)
    assert.equal(await come('admin', PASSWORD), 200)
  })

  test('zot CVE-2025-23208: groups and people that the directory takes away are gone at the next token', async () => {
    assert.equal(await come('ann', 'secret of ann'), 200)
    const login = await call('POST', '/auth/login', {}, { name: 'ann', password: 'secret of ann' })
    expectStatus(login, 200)
    const { csrfToken } = json(login) as { csrfToken: string }
    const cookie = String(login.headers['set-cookie']).split(';', 1)[0] ?? ''
    const made = await call('POST', '/api/v1/me/secret', { Cookie: cookie, 'X-CSRF-Token': csrfToken }, {})
    const { secret } = json(made) as { secret: string }
    const { Attribute, Change } = await import('ldapts')
    await changed((client) =>
      client.modify(
        `cn=Dev Team,${GROUPS}`,
        new Change({
          operation: 'delete',
          modification: new Attribute({ type: 'member', values: [`uid=ann,${PEOPLE}`] }),
        }),
      ),
    )
    assert.equal(await come('ann', secret), 200)
    assert.deepEqual([await membersOf('devs'), await membersOf('ops')], [['bob'], ['ann']])
    await changed((client) => client.del(`uid=ann,${PEOPLE}`))
    assert.equal(await come('ann', secret), 401)
    expectStatus(await call('GET', '/auth/session', { Cookie: cookie }), 401)
    assert.deepEqual(await membersOf('ops'), [])
  })

  test('StartTLS is used where it is asked for, and no password goes out without it', async () => {
    {
      await using by = await open({ url: slapd.url.replace('127.0.0.1', 'localhost'), starttls: true })
      assert.equal(await come('bob', 'secret of bob', by), 200)
    }
    for (const more of [
      // Not the authority of the certificate.
      { url: slapd.secureUrl, cafile: undefined },
      { url: slapd.url, starttls: true, cafile: undefined },
    ]) {
      await using by = await open(more)
      assert.equal(await come('bob', 'secret of bob', by), 503)
    }
    await assert.rejects(open({ url: slapd.url }), /would send passwords as they are/)
    await using by = await open({ url: slapd.url, plain: true })
    assert.equal(await come('bob', 'secret of bob', by), 200)
  })

  test('a directory that is silent or away lets nobody in, and what it said before counts on', async () => {
    assert.equal(await come('bob', 'secret of bob'), 200)
    const login = await call('POST', '/auth/login', {}, { name: 'bob', password: 'secret of bob' })
    const cookie = String(login.headers['set-cookie']).split(';', 1)[0] ?? ''
    await slapd.stop()
    assert.equal(await come('bob', 'secret of bob'), 503)
    assert.equal(await come('admin', PASSWORD), 200)
    expectStatus(await call('GET', '/auth/session', { Cookie: cookie }), 200)
    const address = strange.address()
    const silent = `ldap://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
    for (const more of [{ plain: true }, { starttls: true }]) {
      await using by = await open({ url: silent, timeout: '300ms', ...more })
      assert.equal(await come('bob', 'secret of bob', by), 503)
    }
    await slapd.start()
    assert.equal(await come('bob', 'secret of bob'), 200)
  })
})
