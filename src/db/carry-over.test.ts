// Which tables go along when the facts are rebuilt: a table that is new has to be thought of here.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { carriedTables } from '#db/carry-over.ts'
import { schemaOutline } from '#db/copy/outline.ts'

/** Rebuilt from the tree, derived from what is, or of contents that were deleted. */
const NOT_CARRIED = [
  'blob_aliases',
  'blob_holds',
  'blobs',
  'deleted_manifest_blobs',
  'deleted_manifests',
  'leases',
  'manifest_blobs',
  'manifest_children',
  'manifest_missing',
  'manifests',
  // By the names of their repositories.
  'pulls',
  'repositories',
  'repository_blobs',
  'repository_figures',
  'tags',
  'usage_deltas',
  'usage_totals',
]

test('all tables but those of contents are carried over', async () => {
  const outline = await schemaOutline()
  const carried = new Set(carriedTables(outline).map(({ name }) => name))
  const left = outline.tables.map(({ name }) => name).filter((name) => !carried.has(name))
  assert.deepEqual(left.sort(), NOT_CARRIED)
})
