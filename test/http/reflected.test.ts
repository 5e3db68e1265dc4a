// What strangers wrote, in names, annotations and addresses, comes back as data and never as a page.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { OCI_INDEX } from '#oci/media-types.ts'
import { type Answer, send } from './client.ts'
import { expectStatus, makeIndex, putManifest } from './content.ts'
import { type Managed, PASSWORD, startManaged } from './people.ts'

const MARKUP = '<script>alert(1)</script><svg onload=alert(2)>javascript:alert(3)'

let managed: Managed
before(async () => {
  managed = await startManaged()
})
after(() => managed[Symbol.asyncDispose]())

function expectNoPage(answer: Answer, where: string): void {
  const { headers } = answer
  assert.match(
    String(headers['content-type']),
    /^application\/([a-z0-9.+-]+\+)?json(; charset=utf-8)?$/,
    where,
  )
  assert.equal(headers['x-content-type-options'], 'nosniff', where)
}

test('names and annotations of images (CVE-2020-27832, CVE-2023-3384, CVE-2025-32019)', async () => {
  await managed.project('team')
  const admin = managed.as('admin')
  const { bytes, digest } = makeIndex([], { annotations: { 'org.opencontainers.image.title': MARKUP } })
  expectStatus(await putManifest(admin, 'team/app', 'v1', bytes, OCI_INDEX), 201)
  const repository = encodeURIComponent('team/app')
  for (const path of [
    `/api/v1/repositories/${repository}/tags`,
    `/api/v1/repositories/${repository}/manifests/${digest}`,
    '/v2/team/app/manifests/v1',
    '/v2/team/app/tags/list',
  ]) {
    const answer = await send(admin, 'GET', path)
    expectStatus(answer, 200)
    expectNoPage(answer, path)
    if (path.startsWith('/api/'))
      assert.match(String(answer.headers['content-security-policy']), /^default-src 'none'/, path)
  }
})

test('names of accounts that are no names, and addresses that are none (CVE-2025-32019)', async () => {
  const admin = managed.as('admin')
  const encoded = encodeURIComponent(MARKUP)
  const answers: [string, Answer][] = [
    ['user', await managed.call('POST', '/users', { name: MARKUP, password: PASSWORD })],
    ['project', await managed.call('POST', '/projects', { name: MARKUP })],
  ]
  for (const path of [
    `/v2/${encoded}/tags/list`,
    `/v2/team/app/manifests/${encoded}`,
    `/token?service=${encoded}&scope=repository:${encoded}:pull`,
    `/api/v1/${encoded}`,
    `/api/v1/projects/${encoded}`,
    `/api/v1/users?${encoded}=1`,
    `/auth/${encoded}`,
    `/${encoded}`,
  ])
    answers.push([path, await send(admin, 'GET', path)])
  for (const [where, answer] of answers) {
    expectNoPage(answer, where)
    assert.ok(where.startsWith('/token') || answer.status >= 400, `${where}: ${answer.status}`)
  }
})

test('numbers for operators are not on the port of clients (zot #3984)', async () => {
  for (const path of ['/metrics', '/debug/vars', '/debug/pprof/'])
    for (const target of [managed.as('admin'), { port: managed.server.port }])
      expectStatus(await send(target, 'GET', path), 404)
})

test('manifests that say they are pages (CVE-2025-32019)', async () => {
  const admin = managed.as('admin')
  for (const [tag, mediaType] of Object.entries({
    html: 'text/html',
    svg: 'image/svg+xml',
    x: 'application/xhtml+xml',
  })) {
    const bytes = JSON.stringify({ schemaVersion: 2, mediaType, title: MARKUP })
    expectStatus(await putManifest(admin, 'team/page', tag, bytes, mediaType), 201)
    const answer = await send(admin, 'GET', `/v2/team/page/manifests/${tag}`)
    assert.equal(answer.body.toString(), bytes)
    assert.equal(answer.headers['content-type'], mediaType)
    assert.equal(answer.headers['content-security-policy'], "default-src 'none'; sandbox")
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
  }
})
