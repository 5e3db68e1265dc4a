// The programs of other projects that tests and benchmarks run against, at the versions they were tried with.
import { homedir } from 'node:os'
import { join } from 'node:path'

export interface GoTool {
  /** The name of the program in the cache folder's `bin`. */
  readonly name: string
  readonly module: string
  /** The package below the module, or '' when the module is the program. */
  readonly path: string
  readonly version: string
}

export const GO_TOOLS = [
  {
    name: 'conformance',
    module: 'github.com/opencontainers/distribution-spec/conformance',
    path: '',
    version: 'v0.0.0-20260831232431-97274622c111',
  },
  {
    name: 'registry',
    module: 'github.com/distribution/distribution/v3',
    path: 'cmd/registry',
    version: 'v3.1.1',
  },
  { name: 'crane', module: 'github.com/google/go-containerregistry', path: 'cmd/crane', version: 'v0.22.1' },
  { name: 'oras', module: 'oras.land/oras', path: 'cmd/oras', version: 'v1.3.6' },
  { name: 'regctl', module: 'github.com/regclient/regclient', path: 'cmd/regctl', version: 'v0.11.7' },
  { name: 'helm', module: 'helm.sh/helm/v3', path: 'cmd/helm', version: 'v3.22.0' },
  { name: 'versitygw', module: 'github.com/versity/versitygw', path: 'cmd/versitygw', version: 'v1.8.0' },
  { name: 'cosign', module: 'github.com/sigstore/cosign/v3', path: 'cmd/cosign', version: 'v3.1.3' },
] as const satisfies readonly GoTool[]

export type GoToolName = (typeof GO_TOOLS)[number]['name']

/** A program and the Debian package that brings it; a second package name is for releases that split the first. */
export interface DebianTool {
  readonly command: string
  readonly packages: readonly string[]
}

export const DEBIAN_TOOLS: readonly DebianTool[] = [
  { command: 'docker-registry', packages: ['docker-registry'] },
  { command: 'skopeo', packages: ['skopeo'] },
  { command: 'podman', packages: ['podman'] },
  { command: 'buildah', packages: ['buildah'] },
  { command: 'umoci', packages: ['umoci'] },
  { command: 'dockerd', packages: ['docker.io'] },
  { command: 'docker', packages: ['docker.io', 'docker-cli'] },
  { command: 'wrk', packages: ['wrk'] },
  { command: 'ab', packages: ['apache2-utils'] },
  { command: 'curl', packages: ['curl'] },
  { command: 'openssl', packages: ['openssl'] },
  { command: 'tar', packages: ['tar'] },
  { command: 'htpasswd', packages: ['apache2-utils'] },
  { command: 'busybox', packages: ['busybox-static'] },
  { command: 'runc', packages: ['runc'] },
  { command: 'getfattr', packages: ['attr'] },
  { command: 'strace', packages: ['strace'] },
  { command: 'time', packages: ['time'] },
  { command: 'zsh', packages: ['zsh'] },
  { command: 'fish', packages: ['fish'] },
  { command: 'postgres', packages: ['postgresql'] },
  { command: 'slapd', packages: ['slapd'] },
  { command: 'nginx', packages: ['nginx-light'] },
]

/** The version on PyPI. */
export const SCHEMATHESIS = '4.32.5'

/** Where tools are kept between runs: outside the checkout, so that a clean checkout finds them again. */
export function toolsFolder(): string {
  return process.env['STOWAGE_TOOLS'] || join(homedir(), '.cache', 'stowage-tools')
}

/** The path of a Go tool, whether or not it is installed. */
export function toolPath(name: GoToolName): string {
  return join(toolsFolder(), 'bin', name)
}

export function toolVersion(name: GoToolName): string {
  const tool = GO_TOOLS.find((candidate) => candidate.name === name)
  if (!tool) throw new Error(`no pinned tool is named ${name}`)
  return tool.version
}
