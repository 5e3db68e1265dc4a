// The clients of the suite, in the order of the table.
import { buildah } from './buildah.ts'
import { cosignClient as cosign } from './cosign.ts'
import { crane } from './crane.ts'
import { docker } from './docker.ts'
import { helmClient as helm } from './helm.ts'
import { orasClient as oras } from './oras.ts'
import { podman } from './podman.ts'
import { regctlClient as regctl } from './regctl.ts'
import type { Client } from './scenario.ts'
import { skopeo } from './skopeo.ts'
import { stowageClient as stowage } from './stowage.ts'
import { umoci } from './umoci.ts'

export const CLIENTS: readonly Client[] = [
  docker,
  podman,
  buildah,
  skopeo,
  umoci,
  crane,
  oras,
  regctl,
  cosign,
  helm,
  stowage,
]
