// helm: charts as OCI artifacts.
import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { accountScenario } from './accounts.ts'
import { type Client, type Stand, WITH_LOGIN } from './scenario.ts'

const CHART_TYPE = 'application/vnd.cncf.helm.config.v1+json'

function transport(stand: Stand): string[] {
  return stand.secure ? ['--ca-file', stand.caFile] : ['--plain-http']
}

function helm(stand: Stand, command: string, ...args: string[]): Promise<string> {
  return stand.told('helm', [...command.split(' '), ...args, ...transport(stand)])
}

/** Helm adds the chart's name to the place it is pushed to. */
function place(stand: Stand): string {
  return `oci://${stand.host}/${stand.repository}`
}

async function packageChart(stand: Stand, version: string): Promise<string> {
  const dir = stand.path('crane-chart')
  await mkdir(`${dir}/templates`, { recursive: true })
  await writeFile(`${dir}/Chart.yaml`, `apiVersion: v2\nname: crane-chart\nversion: ${version}\n`)
  await writeFile(`${dir}/values.yaml`, 'greeting: ahoy\n')
  await writeFile(
    `${dir}/templates/map.yaml`,
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {greeting: "{{ .Values.greeting }}"}\n',
  )
  await stand.ok('helm', ['package', dir, '-d', stand.dir])
  return stand.path(`crane-chart-${version}.tgz`)
}

async function push(stand: Stand, version: string): Promise<void> {
  await helm(stand, 'push', await packageChart(stand, version), place(stand))
}

export const helmClient: Client = {
  name: 'helm',
  programs: ['helm'],
  shown: ['helm'],
  scenarios: [
    {
      name: 'push-pull',
      does: 'push prints the digest; pull gives the same chart; a version with + is a tag with _',
      async run(stand) {
        await push(stand, '1.0.0+build.7')
        const repository = `${stand.repository}/crane-chart`
        const stored = await stand.registry.manifest(repository, '1.0.0_build.7')
        assert.equal(stored?.body.config?.mediaType, CHART_TYPE)
        await mkdir(stand.path('got'))
        const version = ['--version', '1.0.0+build.7']
        const said = await helm(
          stand,
          'pull',
          `${place(stand)}/crane-chart`,
          ...version,
          '-d',
          stand.path('got'),
        )
        assert.ok(said.includes(String(stored?.digest)), said)
        const name = 'crane-chart-1.0.0+build.7.tgz'
        assert.deepEqual(await readFile(stand.path('got', name)), await readFile(stand.path(name)))
      },
    },
    {
      name: 'restart',
      does: 'a chart is there after a restart of the server',
      async run(stand) {
        await push(stand, '1.0.0')
        await stand.restartServer()
        await mkdir(stand.path('got'))
        await helm(stand, 'pull', `${place(stand)}/crane-chart`, '-d', stand.path('got'))
      },
    },
    {
      name: 'login',
      does: 'registry login and logout; a wrong password and no login are refused',
      servers: WITH_LOGIN,
      async run(stand) {
        const { username, password } = stand.login
        const env = await stand.stranger('fresh')
        const login = [
          'registry',
          'login',
          stand.host,
          '-u',
          username,
          '--password-stdin',
          ...transport(stand),
        ]
        const chart = await packageChart(stand, '1.0.0')
        const send = ['push', chart, place(stand), ...transport(stand)]
        await stand.refused('helm', send, { env })
        assert.match(await stand.refused('helm', login, { env, input: 'wrong' }), /401|nauthorized/)
        assert.match(await stand.told('helm', login, { env, input: password }), /Login Succeeded/)
        await stand.ok('helm', send, { env })
        await stand.ok('helm', ['registry', 'logout', stand.host], { env })
        await stand.refused('helm', send, { env })
      },
    },
    {
      name: 'show-template',
      does: 'show chart and values, template, straight from the registry',
      async run(stand) {
        await push(stand, '1.2.3')
        const chart = `${place(stand)}/crane-chart`
        assert.match(await helm(stand, 'show chart', chart), /version: 1\.2\.3/)
        assert.match(await helm(stand, 'show values', chart), /greeting: ahoy/)
        assert.match(
          await helm(stand, 'template', 'mine', chart, '--set', 'greeting=hello'),
          /greeting: "hello"/,
        )
      },
    },
    {
      name: 'versions',
      does: 'a version range and no version resolve from the tags; a dependency is fetched',
      async run(stand) {
        for (const version of ['1.0.0', '1.2.0', '2.0.0', '2.1.0-rc.1']) await push(stand, version)
        const chart = `${place(stand)}/crane-chart`
        assert.match(await helm(stand, 'show chart', chart, '--version', '^1.0.0'), /version: 1\.2\.0/)
        assert.match(await helm(stand, 'show chart', chart), /version: 2\.0\.0/)
        assert.match(await helm(stand, 'show chart', chart, '--devel'), /version: 2\.1\.0-rc\.1/)
        const parent = stand.path('parent')
        await mkdir(parent)
        const dependency = `- {name: crane-chart, version: ~1.2.0, repository: "${place(stand)}"}`
        await writeFile(
          `${parent}/Chart.yaml`,
          `apiVersion: v2\nname: parent\nversion: 1.0.0\ndependencies:\n${dependency}\n`,
        )
        await helm(stand, 'dependency update', parent)
        assert.match(await stand.ok('ls', [`${parent}/charts`]), /crane-chart-1\.2\.0\.tgz/)
      },
    },
    {
      name: 'by-digest',
      does: 'pull by digest',
      async run(stand) {
        await push(stand, '1.0.0')
        const digest = await stand.digest('1.0.0', `${stand.repository}/crane-chart`)
        await mkdir(stand.path('got'))
        await helm(stand, 'pull', `${place(stand)}/crane-chart@${digest}`, '-d', stand.path('got'))
      },
    },
    accountScenario({
      program: 'helm',
      async prepare(stand) {
        await packageChart(stand, '1.0.0')
      },
      login: (stand, username) => {
        return ['registry', 'login', stand.host, '-u', username, '--password-stdin', ...transport(stand)]
      },
      push: (stand, repository) => {
        const chart = stand.path('crane-chart-1.0.0.tgz')
        return ['push', chart, `oci://${stand.host}/${repository}`, ...transport(stand)]
      },
      pull: (stand, repository) => {
        const chart = `oci://${stand.host}/${repository}/crane-chart`
        return ['pull', chart, '-d', stand.dir, ...transport(stand)]
      },
    }),
  ],
}
