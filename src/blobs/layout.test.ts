import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  blobFolder,
  blobPath,
  isBlobFolder,
  isUploadId,
  layerLink,
  revisionLink,
  tagCurrentLink,
  tagFolder,
  tagIndexLink,
  uploadPath,
} from '#blobs/layout.ts'
import { parseDigest } from '#oci/digest.ts'
import { parseRepositoryName, parseTag } from '#oci/reference.ts'

const hex = `0f${'1'.repeat(62)}`
const digest = parseDigest(`sha256:${hex}`)
const sha512 = parseDigest(`sha512:${'2'.repeat(128)}`)
const name = parseRepositoryName('team/app')
const tag = parseTag('v1.0')
const repository = 'docker/registry/v2/repositories/team/app'

const paths: readonly (readonly [string, string, string])[] = [
  ['a blob', blobPath(digest), `docker/registry/v2/blobs/sha256/0f/${hex}/data`],
  ['a blob folder', blobFolder(digest), `docker/registry/v2/blobs/sha256/0f/${hex}`],
  ['a layer', layerLink(name, digest), `${repository}/_layers/sha256/${hex}/link`],
  ['an alias', layerLink(name, sha512), `${repository}/_layers/sha512/${'2'.repeat(128)}/link`],
  ['a revision', revisionLink(name, digest), `${repository}/_manifests/revisions/sha256/${hex}/link`],
  ['a tag folder', tagFolder(name, tag), `${repository}/_manifests/tags/v1.0`],
  ['a current tag', tagCurrentLink(name, tag), `${repository}/_manifests/tags/v1.0/current/link`],
  [
    'a tag history',
    tagIndexLink(name, tag, digest),
    `${repository}/_manifests/tags/v1.0/index/sha256/${hex}/link`,
  ],
  ['an upload', uploadPath('a-b_C9'), 'stowage/uploads/a-b_C9'],
]
for (const [what, path, expected] of paths) {
  test(`${what} lies at ${expected.replaceAll(/(\w)\1{20,}/g, '$1...')}`, () => assert.equal(path, expected))
}

test('bytes are not kept under another algorithm', () => {
  assert.throws(() => blobPath(sha512), /sha256 only/)
})

test('a blob folder is one only inside its own shard', () => {
  assert.equal(isBlobFolder(hex, '0f'), true)
  assert.equal(isBlobFolder(hex, '11'), false)
  assert.equal(isBlobFolder(hex.toUpperCase(), '0F'), false)
  assert.equal(isBlobFolder(hex.slice(1), '0f'), false)
})

test('an upload id has 1 to 64 safe characters', () => {
  assert.equal(isUploadId('x'.repeat(64)), true)
  for (const id of ['', 'x'.repeat(65), '..', 'a/b', 'a.b', 'a b', 'ä', 'a\n'])
    assert.equal(isUploadId(id), false)
})
