// Whether the Node that runs us is new enough, and one clear sentence when it is not. Plain JavaScript, and nothing is
// imported by a name that an old Node does not know: that would end it before it could say so.
const NEEDED = [24, 7]
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

export const isTooOld = major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])

export function requireNode() {
  if (!isTooOld) return
  process.stderr.write(
    `stowage needs Node ${NEEDED.join('.')} or newer, and this is Node ${process.versions.node}.\n` +
      'On Linux (x64, arm64, glibc) "npm ci" brings a Node of its own: start it with "npm start" or "npx stowage".\n' +
      'Elsewhere install a newer Node from https://nodejs.org and run the same command again.\n',
  )
  process.exit(1)
}
