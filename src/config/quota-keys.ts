// `quotas`: how much projects, users and the registry may use where nobody set another limit.
import { section } from '#lib/settings/node.ts'
import { byteAmount, whole } from '#lib/settings/values.ts'

const bytes = (of: string) => byteAmount(`Bytes of ${of}; \`0\` for no limit.`, { initial: 0 })
const count = (of: string) => whole(`${of}; \`0\` for no limit.`, '', { initial: 0 })

export const QUOTAS = section(
  'How much may be used. `stowage admin quotas set` gives a project, a user or the registry another limit. Not part of registry:2.',
  {
    registry: section('All repositories together.', {
      bytes: bytes('manifests and blobs, each counted once'),
      repositories: count('Repositories'),
      tags: count('Tags'),
    }),
    project: section('Each project.', {
      bytes: bytes('manifests and blobs, each counted once in a project'),
      repositories: count('Repositories of a project'),
      tags: count('Tags of a project'),
    }),
    user: section('Each user.', {
      bytes: bytes('what he brought into projects and is still there'),
    }),
  },
)
