// A registry with one of everything that facts can hold, and what it answers when it is asked for all of it.
import { digestOf } from '#oci/digest.ts'
import { OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { send, type Target } from '../http/client.ts'
import {
  contentOf,
  descriptorOf,
  expectStatus,
  makeImage,
  makeIndex,
  pushBlob,
  pushImage,
  putManifest,
  randomContent,
} from '../http/content.ts'
import { pushBySha512 } from './published.ts'

const ARTIFACT = 'application/vnd.example.report.v1'

/** One of everything that facts can hold. Resolves to the paths that show all of it. */
export async function fill(server: Target): Promise<string[]> {
  const image = makeImage()
  await pushImage(server, 'app', '1.0', image)
  await pushImage(server, 'app', 'latest', image)
  const child = makeImage([randomContent(500)], { annotations: { purpose: 'child' } })
  await pushImage(server, 'app/below', 'child', child)
  const index = makeIndex([descriptorOf(child.manifest, OCI_MANIFEST)])
  expectStatus(await putManifest(server, 'app/below', 'multi', index.bytes, OCI_INDEX), 201)
  const report = makeImage([randomContent(100)], {
    artifactType: ARTIFACT,
    subject: descriptorOf(image.manifest, OCI_MANIFEST),
    annotations: { 'org.example.result': 'good' },
  })
  for (const blob of [report.config, ...report.layers]) await pushBlob(server, 'app', blob)
  const { digest: reportDigest, bytes: reportBytes } = report.manifest
  expectStatus(await putManifest(server, 'app', reportDigest, reportBytes), 201)
  const wide = await pushBySha512(server, 'wide', 'sha512')
  const alone = randomContent(700)
  const alias = digestOf(alone.bytes, 'sha512')
  await pushBlob(server, 'wide', { bytes: alone.bytes, digest: alias })
  const empty = contentOf(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] }))
  expectStatus(await putManifest(server, 'bare', 'empty', empty.bytes, OCI_INDEX), 201)
  const untold = contentOf(JSON.stringify({ about: 'a type of its own, which the bytes do not tell' }))
  expectStatus(await putManifest(server, 'own', 'type', untold.bytes, 'application/vnd.example.v1+json'), 201)
  const subject = image.manifest.digest
  return [
    '/v2/_catalog',
    '/v2/own/manifests/type',
    ...['app', 'app/below', 'wide', 'bare', 'own'].map((name) => `/v2/${name}/tags/list`),
    '/v2/app/manifests/1.0',
    '/v2/app/manifests/latest',
    `/v2/app/manifests/${subject}`,
    `/v2/app/manifests/${reportDigest}`,
    `/v2/app/referrers/${subject}`,
    `/v2/app/referrers/${subject}?artifactType=${encodeURIComponent(ARTIFACT)}`,
    '/v2/app/below/manifests/multi',
    `/v2/app/below/manifests/${child.manifest.digest}`,
    '/v2/wide/manifests/sha512',
    `/v2/wide/manifests/${wide.content.digest}`,
    `/v2/wide/manifests/${digestOf(wide.content.bytes)}`,
    `/v2/wide/blobs/${alias}`,
    `/v2/wide/blobs/${alone.digest}`,
    '/v2/bare/manifests/empty',
    ...[image.config, ...image.layers].map(({ digest }) => `/v2/app/blobs/${digest}`),
    `/v2/app/below/blobs/${alias}`,
  ]
}

const HEADERS_COMPARED = [
  'content-type',
  'docker-content-digest',
  'content-length',
  'etag',
  'oci-filters-applied',
]

export async function answers(server: Target, paths: readonly string[]): Promise<unknown[]> {
  const all: unknown[] = []
  for (const path of paths) {
    const { status, headers, body } = await send(server, 'GET', path)
    all.push([path, status, HEADERS_COMPARED.map((name) => headers[name]), body.toString('base64')])
  }
  return all
}
