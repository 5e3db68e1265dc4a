// One large layer, read to its end by one client.
import { join } from 'node:path'
import { renewBulkFile, writeBulkFile } from '../load/bulk-file.ts'
import { download, flushDisk, patchFile } from '../load/generators.ts'
import { closingPath } from '../load/registry-client.ts'
import type { Effort, Load, Scenario, Side } from '../scenario.ts'

const REPOSITORY = 'bench/pull-bulk'

export function pullBulk(): Scenario {
  /** What each side was given to serve. */
  const digests = new WeakMap<Side, string>()
  return {
    name: 'pull-bulk',
    title: 'pull of one large layer, one stream',
    required: { cpuAtMost: 1.0, rateAtLeast: 1.0 },
    cpuUnit: 's',
    rateUnit: 'MB',
    ratePerOperation: (effort) => effort.bulkBytes / 1e6,

    async prepare(side: Side, effort: Effort): Promise<void> {
      const file = join(effort.workspace, 'pull-bulk')
      writeBulkFile(file, effort.bulkBytes)
      const digest = renewBulkFile(file)
      const upload = await side.client.openUpload(REPOSITORY)
      const location = side.client.pathOf(await patchFile(`${side.server.url}${upload}`, file))
      await side.client.send({ method: 'PUT', path: closingPath(location, digest) }, 201)
      digests.set(side, digest)
      await flushDisk()
    },

    async load(side: Side, effort: Effort): Promise<Load> {
      const url = `${side.server.url}/v2/${REPOSITORY}/blobs/${digests.get(side)}`
      let seconds = 0
      for (let pull = 0; pull < effort.bulkPulls; pull++) {
        const got = await download(url)
        if (got.bytes !== effort.bulkBytes) throw new Error(`${got.bytes} of ${effort.bulkBytes} bytes came`)
        seconds += got.seconds
      }
      return { operations: effort.bulkPulls, seconds }
    },
  }
}
