// The parts of an image config that a runtime needs. Source: image-spec config.md; docker writes null for what is empty.
import { z } from 'zod'
import { LayerError } from '#layers/layer-error.ts'

const words = z.array(z.string()).nullish()
const names = z.record(z.string(), z.unknown()).nullish()

const schema = z.object({
  architecture: z.string().optional(),
  os: z.string().optional(),
  variant: z.string().optional(),
  author: z.string().optional(),
  created: z.string().nullish(),
  'os.version': z.string().optional(),
  'os.features': words,
  config: z
    .object({
      User: z.string().optional(),
      Env: words,
      Entrypoint: words,
      Cmd: words,
      WorkingDir: z.string().optional(),
      Labels: z.record(z.string(), z.string()).nullish(),
      ExposedPorts: names,
      Volumes: names,
      StopSignal: z.string().optional(),
    })
    .nullish(),
})

export type ImageConfig = z.infer<typeof schema>

/** @throws LayerError CONFIG_INVALID */
export function parseImageConfig(json: unknown): ImageConfig {
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  const findings = parsed.error.issues
    .slice(0, 20)
    .map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  throw new LayerError('CONFIG_INVALID', `the image config is invalid: ${findings.join('; ')}`, {
    detail: { findings },
  })
}
