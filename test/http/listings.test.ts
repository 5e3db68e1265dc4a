// tags/list and _catalog: in byte order, in pages, with links that lead on.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { OCI_INDEX } from '#oci/media-types.ts'
import { type Answer, json, refusalOf, send } from './client.ts'
import { expectStatus, makeIndex, openSession, pushBlob, putManifest, randomContent } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const TAGS = ['1.0', '1.10', '1.2', 'A', 'Z', '_x', 'a', 'a.b', 'a_b', 'latest', 'v1', 'z']
const NAMES = ['a', 'a/b', 'a/b/c', 'a0', 'b-c', 'b.c', 'b_c', 'team/app', 'z']

let server: TestServer
before(async () => {
  server = await startServer({ env: { REGISTRY_CATALOG_MAXENTRIES: '50', REGISTRY_TAGS_MAXTAGS: '8' } })
  const index = makeIndex([])
  for (const tag of TAGS)
    expectStatus(await putManifest(server, 'team/app', tag, index.bytes, OCI_INDEX), 201)
  for (const name of NAMES)
    expectStatus(await putManifest(server, name, 'latest', index.bytes, OCI_INDEX), 201)
  await openSession(server, 'only/opened')
  await pushBlob(server, 'only/a-blob', randomContent(10))
})
after(() => server[Symbol.asyncDispose]())

const get = (path: string) => send(server, 'GET', path)
const tagsIn = (answer: Answer) => (json(answer) as { tags: string[] }).tags
const namesIn = (answer: Answer) => (json(answer) as { repositories: string[] }).repositories

/** The address in a Link header, which must be the one of the next page. */
function nextOf(answer: Answer): string | undefined {
  const link = answer.headers['link']
  if (link === undefined) return undefined
  const address = /^<([^>]+)>; rel="next"$/.exec(String(link))?.[1]
  assert.ok(address, String(link))
  return address
}

async function follow(start: string, items: (answer: Answer) => string[]): Promise<string[][]> {
  const pages: string[][] = []
  for (let at: string | undefined = start; at !== undefined; ) {
    const answer = await get(at)
    assert.equal(answer.status, 200, at)
    pages.push(items(answer))
    at = nextOf(answer)
    assert.ok(pages.length < 100)
  }
  return pages
}

describe('tags/list', () => {
  const list = '/v2/team/app/tags/list'

  test('without n has all tags, in byte order, and its type has no charset', async () => {
    const answer = await get(list)
    assert.deepEqual(json(answer), { name: 'team/app', tags: TAGS })
    assert.equal(answer.headers['content-type'], 'application/json')
    assert.equal(answer.headers['link'], undefined)
  })

  test('with n has pages, whose links lead to all tags, once each', async () => {
    for (const n of [1, 5, 7]) {
      const pages = await follow(`${list}?n=${n}`, tagsIn)
      assert.deepEqual(pages.flat(), TAGS)
      assert.ok(pages.every((page) => page.length <= n && page.length > 0))
    }
  })

  test('the last page has no link, even when it is full', async () => {
    const answer = await get(`${list}?n=6&last=${TAGS[5]}`)
    assert.deepEqual([tagsIn(answer), answer.headers['link']], [TAGS.slice(6), undefined])
  })

  test('last is exclusive, need not exist, and works without n', async () => {
    assert.deepEqual(tagsIn(await get(`${list}?last=a`)), TAGS.slice(TAGS.indexOf('a') + 1))
    assert.deepEqual(tagsIn(await get(`${list}?last=a-`)), TAGS.slice(TAGS.indexOf('a.b')))
    assert.deepEqual(tagsIn(await get(`${list}?last=zzz`)), [])
  })

  test('n=0 is an empty list and no link', async () => {
    const answer = await get(`${list}?n=0`)
    assert.deepEqual([tagsIn(answer), answer.headers['link']], [[], undefined])
  })

  test('n above the maximum is the maximum, as in registry:2', async () => {
    const answer = await get(`${list}?n=1000`)
    assert.deepEqual(tagsIn(answer), TAGS.slice(0, 8))
    assert.ok(nextOf(answer)?.includes('n=8'))
  })

  test('a repository that has no tags has an empty list', async () => {
    const index = makeIndex([], { annotations: { untagged: 'yes' } })
    expectStatus(await putManifest(server, 'team/untagged', index.digest, index.bytes, OCI_INDEX), 201)
    assert.deepEqual(json(await get('/v2/team/untagged/tags/list')), { name: 'team/untagged', tags: [] })
  })

  for (const name of ['nobody', 'team', 'team/app/more', 'only/opened', 'only/a-blob'])
    test(`${name} never held a manifest: 404`, async () => {
      assert.equal(refusalOf(await get(`/v2/${name}/tags/list`)), '404 NAME_UNKNOWN')
    })
})

describe('_catalog', () => {
  const all = [...NAMES, 'team/untagged'].sort()

  test('has every repository that holds a manifest, in byte order', async () => {
    assert.deepEqual(namesIn(await get('/v2/_catalog')), all)
  })

  test('has pages whose links lead to all, with slashes in names percent-encoded', async () => {
    for (const n of [1, 3, 4]) assert.deepEqual((await follow(`/v2/_catalog?n=${n}`, namesIn)).flat(), all)
    const answer = await get('/v2/_catalog?n=2')
    assert.equal(answer.headers['link'], '</v2/_catalog?n=2&last=a%2Fb>; rel="next"')
  })

  test('last is exclusive and need not exist', async () => {
    assert.deepEqual(namesIn(await get('/v2/_catalog?last=a/b')), all.slice(all.indexOf('a/b') + 1))
    assert.deepEqual(namesIn(await get('/v2/_catalog?last=a%2Fb')), all.slice(all.indexOf('a/b') + 1))
    assert.deepEqual(namesIn(await get('/v2/_catalog?last=b')), all.slice(all.indexOf('b-c')))
  })

  test('n=0 is an empty list and no link', async () => {
    const answer = await get('/v2/_catalog?n=0')
    assert.deepEqual([namesIn(answer), answer.headers['link']], [[], undefined])
  })

  test('n at the maximum is taken, above it refused, as in registry:2', async () => {
    assert.equal((await get('/v2/_catalog?n=50')).status, 200)
    assert.equal(refusalOf(await get('/v2/_catalog?n=51')), '400 PAGINATION_NUMBER_INVALID')
  })
})

describe('CVE-2023-2253: an n that cannot be is refused and allocates nothing', () => {
  const numbers = [
    '-1',
    '2147483648',
    '99999999999999999999',
    '1.5',
    '1e9',
    '0x10',
    'ten',
    'NaN',
    '%00',
    '+1',
    '1 ',
    '9'.repeat(5_000),
  ]
  for (const path of ['/v2/_catalog', '/v2/team/app/tags/list'])
    for (const n of numbers)
      test(`${path}?n=${n.slice(0, 24)}`, async () => {
        const before = process.memoryUsage().rss
        assert.equal(
          refusalOf(await get(`${path}?n=${n.replace('+', '%2B').replace(' ', '%20')}`)),
          '400 PAGINATION_NUMBER_INVALID',
        )
        assert.ok(process.memoryUsage().rss - before < 50_000_000)
      })

  test('999999999 tags are clamped', async () => {
    assert.equal(tagsIn(await get('/v2/team/app/tags/list?n=999999999')).length, 8)
  })
})

test('odd text in last finds nothing that it should not', async () => {
  for (const last of ['%', '%00', "'", '%27%20or%201%3D1', '~', 'é', '%F0%9F%92%A9', 'x'.repeat(5_000)]) {
    const answer = await get(
      `/v2/team/app/tags/list?last=${encodeURI(decodeURIComponent(last === '%' ? '%25' : last))}`,
    )
    assert.equal(answer.status, 200, last)
    assert.ok(tagsIn(answer).every((tag) => TAGS.includes(tag)))
  }
})
