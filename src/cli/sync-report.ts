// Prints what a sync did, and says by the exit code whether all is well.
import { count, formatBytes } from '#cli/figures.ts'
import { CommandFailure, EXIT, type ExitCode } from '#cli/output.ts'
import type { Session } from '#cli/session.ts'
import type { SyncReport } from '#cli/sync-run.ts'

const SHOWN_MAX = 100

/** @throws CommandFailure when something could not be copied, or is not equal */
export function finishSync(session: Session, report: SyncReport): void {
  session.print(report, () => lines(session, report))
  const { failures, proof } = report
  if (failures.length > 0) {
    const [first] = failures
    const isOneKind = failures.every(({ exitCode }) => exitCode === first?.exitCode)
    const exitCode = isOneKind ? (first?.exitCode as ExitCode) : EXIT.failed
    throw new CommandFailure(exitCode, `${count(failures.length, 'failure')}, the first: ${first?.message}`, {
      hint: 'run the same command again: what is there already is not copied again',
    })
  }
  if (proof && proof.differences.length > 0) {
    throw new CommandFailure(
      EXIT.verification,
      `${count(proof.differences.length, 'difference')} after the copy`,
      {
        hint: 'somebody may have pushed meanwhile: run the same command again',
      },
    )
  }
}

function* lines(session: Session, report: SyncReport): Generator<string> {
  const { tags, copied, mounted, failures, proof } = report
  const what = report.dryRun ? 'to copy' : 'copied'
  yield `${report.source} -> ${report.destination}: ${count(report.repositories, 'repository', 'repositories')}, ${count(tags.total, 'tag')}: ${tags.copied} ${what}, ${tags.unchanged} unchanged, ${failures.length} failed`
  if (!report.dryRun)
    yield `blobs: ${copied.blobs} copied (${formatBytes(copied.bytes)}), ${mounted.blobs} mounted (${formatBytes(mounted.bytes)})`
  for (const { repository, tag, message } of failures.slice(0, SHOWN_MAX))
    yield session.paint('red', `failed: ${repository}${tag ? `:${tag}` : ''}: ${message}`)
  if (!proof) return
  for (const { repository, what: kind, name, source, destination } of proof.differences.slice(0, SHOWN_MAX))
    yield session.paint(
      'red',
      `differs: ${repository} ${kind} ${name}: ${source} here, ${destination ?? 'nothing'} there`,
    )
  const compared = `${count(proof.tags, 'tag')}, ${count(proof.manifests, 'manifest')}, ${count(proof.blobs, 'blob')} (${formatBytes(proof.bytes)}), ${count(proof.referrers, 'referrer')}`
  yield proof.differences.length === 0
    ? session.paint('green', `equal, digest by digest: ${compared}`)
    : `compared: ${compared}`
}
