// What the commands that speak with registries want to know of the environment; config/environment.ts reads it.

export interface ClientEnvironment {
  readonly home: string
  /** As it is, for credential files and the helpers that they name. */
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly proxy: {
    readonly http: string | undefined
    readonly https: string | undefined
    readonly noProxy: string | undefined
  }
  /** PEM file of further authorities. */
  readonly authoritiesFile: string | undefined
  /** False when the reader asked for none, or the terminal has none. */
  readonly colors: boolean
}
