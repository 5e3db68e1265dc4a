import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createConfig, lintFromString } from '@redocly/openapi-core'
import { openApiDocument } from '#http/api/openapi.ts'
import { API_ROUTES } from '#http/api/routes.ts'

const lint = async (document: object) => {
  const config = await createConfig({ extends: ['recommended-strict'] })
  const found = await lintFromString({ source: JSON.stringify(document), config })
  return found.map(({ ruleId, message, location }) => `${ruleId}: ${message} (${location[0]?.pointer})`)
}

test('a linter finds nothing to say about the document of the API', async () => {
  assert.deepEqual(await lint(openApiDocument('/api/v1', API_ROUTES)), [])
})

test('the same linter finds what is wrong: an unknown reference, a path parameter that nobody declares', async () => {
  const document = JSON.parse(JSON.stringify(openApiDocument('/api/v1', API_ROUTES)))
  delete document.components.schemas.Problem
  document.paths['/users/{user}'].get.parameters = []
  const found = (await lint(document)).join('\n')
  assert.match(found, /no-unresolved-refs/)
  assert.match(found, /path-parameters-defined/)
})
