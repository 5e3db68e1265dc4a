// What is wrong with a document, collected instead of thrown, so that a client hears all of it at once.

/** Problems that are told one by one; the last one says that there were more. */
export const FINDINGS_MAX = 100
/** Characters of a client's own value that a problem quotes. */
const QUOTED_CHARS_MAX = 100

export interface Finding {
  /** JSON pointer (RFC 6901) into the document; empty for the document itself. */
  readonly path: string
  /** What is wrong and what would be right. */
  readonly problem: string
}

/** A bounded list of findings. */
export class Findings {
  readonly list: Finding[] = []

  add(path: string, problem: string): void {
    if (this.list.length < FINDINGS_MAX) this.list.push({ path, problem })
    else if (this.list.length === FINDINGS_MAX)
      this.list.push({ path: '', problem: `and more: only the first ${FINDINGS_MAX} problems are listed` })
  }
}

/** A value as a problem quotes it, cut where it is long. */
export function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined'
  return text.length > QUOTED_CHARS_MAX ? `${text.slice(0, QUOTED_CHARS_MAX)}...` : text
}
