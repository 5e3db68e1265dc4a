// One large layer in one stream, the way docker and skopeo send it: POST, PATCH with all bytes, PUT that closes.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { assertStored, freeStored, renewBulkFile, writeBulkFile } from '../load/bulk-file.ts'
import { flushDisk, patchFile } from '../load/generators.ts'
import { closingPath } from '../load/registry-client.ts'
import type { Effort, Load, Scenario, Side } from '../scenario.ts'

const REPOSITORY = 'bench/push-bulk'

function fileOf(effort: Effort): string {
  return join(effort.workspace, 'push-bulk')
}

export const pushBulk: Scenario = {
  name: 'push-bulk',
  title: 'push of one large layer, one stream',
  required: { cpuAtMost: 1.0, rateAtLeast: 1.1 },
  cpuUnit: 's',
  rateUnit: 'MB',
  ratePerOperation: (effort) => effort.bulkBytes / 1e6,

  async prepare(_side: Side, effort: Effort): Promise<void> {
    if (!existsSync(fileOf(effort))) writeBulkFile(fileOf(effort), effort.bulkBytes)
  },

  async load(side: Side, effort: Effort): Promise<Load> {
    const { client, server } = side
    const digest = renewBulkFile(fileOf(effort))
    await flushDisk()
    const start = performance.now()
    const upload = await client.openUpload(REPOSITORY)
    const location = await patchFile(`${server.url}${upload}`, fileOf(effort))
    await client.send({ method: 'PUT', path: closingPath(client.pathOf(location), digest) }, 201)
    const seconds = (performance.now() - start) / 1000
    await assertStored(server, digest, effort.bulkBytes)
    return {
      operations: 1,
      seconds,
      discard: async () => {
        await client.send({ method: 'DELETE', path: `/v2/${REPOSITORY}/blobs/${digest}` }, 202)
        await freeStored(server, digest)
      },
    }
  },
}
