// Stops with one clear sentence when the Node that runs us is too old. Plain JavaScript, so that any Node can say it.
const NEEDED = [24, 7]

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
  process.stderr.write(
    `stowage needs Node ${NEEDED.join('.')} or newer, and this is Node ${process.versions.node}.\n` +
      'On Linux (x64, arm64, glibc) "npm ci" brings a Node of its own: start it with "npm start" or "npx stowage".\n' +
      'Elsewhere install a newer Node from https://nodejs.org and run the same command again.\n',
  )
  process.exit(1)
}
