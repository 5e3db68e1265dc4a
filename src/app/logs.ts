// What a server is handed beside its configuration.
import type { Log } from '#telemetry/log.ts'

export interface AppLogs {
  readonly log: Log
  readonly access: Log
}

export interface AppSecrets {
  /** Of the first admin of `auth.stowage`; made up and shown once when undefined. */
  readonly adminPassword?: string | undefined
  /** Of the program, for who asks what runs here. */
  readonly version?: string | undefined
}
