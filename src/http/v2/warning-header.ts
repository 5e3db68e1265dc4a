// distribution-spec, "Warnings": what a client should tell its user beside a success.

/** Each as code 299, without agent and date. No header where there is nothing to say. */
export function warningHeader(sentences: readonly string[]): { readonly Warning?: string } {
  if (sentences.length === 0) return {}
  const quoted = sentences.map((text) => `299 - "${text.replace(/[^ -~]/g, '?').replace(/["\\]/g, "'")}"`)
  return { Warning: quoted.join(', ') }
}
