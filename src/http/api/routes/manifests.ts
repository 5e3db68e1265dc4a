// Manifests, and the images that they describe.
import { z } from 'zod'
import { timeText } from '#access/management/management.ts'
import { gone, named } from '#http/api/answers.ts'
import { type ApiRoute, contentRoute } from '#http/api/route-table.ts'
import { count, time } from '#http/api/schemas.ts'
import type { ImageConfig } from '#layers/image-config.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { parseReference } from '#oci/reference.ts'
import { deleteManifest } from '#registry/manifests.ts'
import { describeManifest, type ImageOverview, platformText } from '#registry/overview/image.ts'

const descriptor = z.object({ mediaType: z.string(), digest: z.string(), size: count })
const word = z.string().nullable()

const image = z.object({
  os: word,
  architecture: word,
  variant: word,
  created: word,
  author: word,
  user: word,
  workingDir: word,
  entrypoint: z.array(z.string()),
  command: z.array(z.string()),
  environment: z.array(z.string()),
  exposedPorts: z.array(z.string()),
  volumes: z.array(z.string()),
  stopSignal: word,
  labels: z.record(z.string(), z.string()),
  history: z.array(z.object({ created: word, createdBy: word, comment: word, emptyLayer: z.boolean() })),
})

const manifest = z.object({
  digest: z.string(),
  mediaType: z.string(),
  artifactType: word,
  /** Digest of the manifest that this one refers to. */
  subject: word,
  annotations: z.record(z.string(), z.string()),
  /** Of the manifest itself. */
  manifestSize: count,
  /** Bytes of the manifest and of all that it refers to, each counted once. */
  size: count,
  platforms: z.array(z.string()),
  tags: z.array(z.string()),
  /** How many manifests name this one as their subject. */
  referrers: count,
  pushedAt: time,
  pulledAt: time.nullable(),
  config: descriptor.nullable(),
  layers: z.array(descriptor),
  manifests: z.array(descriptor.extend({ platform: word, artifactType: word })),
  /** What the config of a container image says; null for what is none. */
  image: image.nullable(),
})

function viewOf(overview: ImageOverview) {
  const { digest, mediaType, artifactType, subject, manifestSize, size, platforms, tags, referrers } =
    overview
  const parsed = overview.manifest
  return {
    ...{ digest, mediaType, artifactType, subject, annotations: parsed?.annotations ?? {} },
    ...{ manifestSize, size, platforms, tags, referrers },
    pushedAt: timeText(overview.pushedAt),
    pulledAt: timeText(overview.pulledAt),
    config: parsed?.config ? partOf(parsed.config) : null,
    layers: (parsed?.layers ?? []).map(partOf),
    manifests: (parsed?.manifests ?? []).map((child) => ({
      ...partOf(child),
      platform: child.platform ? platformText(child.platform) : null,
      artifactType: child.artifactType ?? null,
    })),
    image: overview.config ? imageOf(overview.config, overview.history) : null,
  }
}

function partOf({ mediaType, digest, size }: Descriptor) {
  return { mediaType, digest, size }
}

function imageOf(config: ImageConfig, history: ImageOverview['history']) {
  const run = config.config ?? {}
  return {
    os: config.os ?? null,
    architecture: config.architecture ?? null,
    variant: config.variant ?? null,
    created: config.created ?? null,
    author: config.author ?? null,
    user: run.User || null,
    workingDir: run.WorkingDir || null,
    entrypoint: run.Entrypoint ?? [],
    command: run.Cmd ?? [],
    environment: run.Env ?? [],
    exposedPorts: Object.keys(run.ExposedPorts ?? {}),
    volumes: Object.keys(run.Volumes ?? {}),
    stopSignal: run.StopSignal ?? null,
    labels: run.Labels ?? {},
    history,
  }
}

export const MANIFEST_ROUTES: readonly ApiRoute[] = [
  contentRoute({
    method: 'GET',
    path: '/repositories/:repository/manifests/:reference',
    needs: 'pull',
    about: 'Shows a manifest, by tag or digest, and what the config of an image says. It counts as no pull.',
    reply: manifest,
    handle: async ({ registry, repository, parameters }) => ({
      status: 200,
      body: viewOf(
        await describeManifest(registry, repository, parseReference(named(parameters, 'reference'))),
      ),
    }),
  }),
  contentRoute({
    method: 'DELETE',
    path: '/repositories/:repository/manifests/:reference',
    needs: 'delete',
    about: 'Deletes a manifest by its digest, with the tags that point at it; by a tag only that tag.',
    async handle({ registry, caller, repository, parameters }) {
      await deleteManifest(registry, caller, repository, parseReference(named(parameters, 'reference')))
      return gone
    },
  }),
]
