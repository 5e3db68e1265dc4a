import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { matchRoute } from '#http/v2/route.ts'
import { OciError } from '#oci/errors.ts'
import { isRepositoryName } from '#oci/reference.ts'

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'constructor', '__proto__', '']

const component = fc.stringMatching(/^[a-z0-9]{1,6}([._-][a-z0-9]{1,4}|__[a-z0-9]{1,4})?$/)
const name = fc
  .array(fc.oneof(component, fc.constantFrom('blobs', 'manifests', 'uploads', 'tags', 'list', 'referrers')), {
    minLength: 1,
    maxLength: 6,
  })
  .map((components) => components.join('/'))
const rest = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._:-]{0,40}$/)

/** What stands behind /v2/ for each operation of a repository, and the method that means it. */
const SHAPES: readonly (readonly [
  operation: string,
  method: string,
  path: (name: string, rest: string) => string,
])[] = [
  ['tags.list', 'GET', (repository) => `${repository}/tags/list`],
  ['manifest.get', 'GET', (repository, last) => `${repository}/manifests/${last}`],
  ['manifest.put', 'PUT', (repository, last) => `${repository}/manifests/${last}`],
  ['blob.get', 'GET', (repository, last) => `${repository}/blobs/sha256:${last}`],
  ['referrers.list', 'GET', (repository, last) => `${repository}/referrers/${last}`],
  ['upload.open', 'POST', (repository) => `${repository}/blobs/uploads/`],
  ['upload.append', 'PATCH', (repository, last) => `${repository}/blobs/uploads/${last}`],
]

test('every name survives the way through every endpoint', () => {
  fc.assert(
    fc.property(name, rest, fc.constantFrom(...SHAPES), (repository, last, [operation, method, path]) => {
      fc.pre(repository.length <= 255)
      const match = matchRoute(method, path(repository, last))
      assert.ok(match?.operation, path(repository, last))
      assert.deepEqual([match.operation, match.name], [operation, repository])
      if (!['tags.list', 'upload.open'].includes(operation)) assert.ok(match.rest.endsWith(last))
    }),
  )
})

test('no path makes it throw anything but a refusal, and every route has a name that is one', () => {
  const piece = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.constantFrom(
      '..',
      '.',
      '',
      '%2e%2e',
      '%2F',
      '%00',
      '%',
      '%zz',
      '_manifests',
      'a\\b',
      'tags',
      'list',
      'manifests',
      'blobs',
      'uploads',
      'referrers',
      '_catalog',
      'A',
      'é',
    ),
    component,
  )
  const path = fc.oneof(
    fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('/')),
    fc.string({ maxLength: 400 }),
  )
  fc.assert(
    fc.property(path, fc.constantFrom(...METHODS), (text, method) => {
      try {
        const match = matchRoute(method, text)
        if (
          match?.operation === undefined ||
          match.operation === 'version' ||
          match.operation === 'catalog.list'
        )
          return
        assert.ok(isRepositoryName(match.name), match.name)
      } catch (error) {
        assert.ok(error instanceof OciError && error.reason === 'NAME_INVALID', String(error))
      }
    }),
    { numRuns: 2_000 },
  )
})

test('a name with a percent sign is refused: an encoded slash never becomes a real one', () => {
  fc.assert(
    fc.property(component, component, fc.constantFrom('%2f', '%2F', '%252f', '%5c', '%00'), (a, b, sign) => {
      assert.throws(() => matchRoute('GET', `${a}${sign}${b}/tags/list`), { reason: 'NAME_INVALID' })
    }),
  )
})

test('what stands last is decoded once', () => {
  const last = (path: string) => {
    const match = matchRoute('GET', path)
    return match?.operation === undefined ? undefined : match.rest
  }
  assert.equal(last('a/manifests/v%31'), 'v1')
  assert.equal(last('a/manifests/%2531'), '%31')
  assert.equal(last('a/manifests/%zz'), '%zz')
  assert.equal(last('a/blobs/sha256%3Aabc'), 'sha256:abc')
})

test('the word nearest to the end decides what a path means', () => {
  const operation = (path: string) => matchRoute('GET', path)?.operation
  assert.equal(operation('a/manifests/b/tags/list'), 'tags.list')
  assert.equal(operation('a/blobs/uploads/tags/list'), 'tags.list')
  assert.equal(operation('blobs/uploads/blobs/uploads/id'), 'upload.status')
  assert.equal(operation('a/tags/list/manifests/v1'), 'manifest.get')
})
