// The names of what a transaction keeps others from while it runs, on engines where several write at once.
import type { Digest } from '#oci/digest.ts'

export type LockName = string & { readonly lockName: true }

/** Tags, manifests and holdings of one repository. */
export function repositoryLock(name: string): LockName {
  return `repository:${name}` as LockName
}

/** One blob: whether it is stored, who holds it, and what refers to it. By the sha256 of the bytes. */
export function blobLock(sha256: Digest): LockName {
  return `blob:${sha256}` as LockName
}

/** What is counted for one project. */
export function projectLock(name: string): LockName {
  return `project:${name}` as LockName
}

/** One upload session. */
export function uploadLock(id: string): LockName {
  return `upload:${id}` as LockName
}

/** For a transaction of statements that are each right by themselves, whoever else writes between them. */
export const NO_LOCKS: readonly LockName[] = []

/** The chain of the audit log. */
export const AUDIT_LOCK = 'audit' as LockName
