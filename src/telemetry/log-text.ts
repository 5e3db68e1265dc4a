// The text form of a log line, as logrus writes it and registry:2's operators know it:
//   time="2026-01-31T08:15:00.000Z" level=info msg="listening" addr=":5000"

const PLAIN = /^[\w./@^+-]+$/
/** Printable ASCII without the quote and the backslash: nothing to escape. */
const HARMLESS = /^[ !#-[\]-~]*$/
// Beyond what JSON.stringify escapes: delete, the C1 controls, and the line separators of Unicode.
const CONTROL = /[\u007f-\u009f\u2028\u2029]/g

export function textLine(
  time: string,
  level: string,
  message: string,
  fields: Readonly<Record<string, unknown>>,
): string {
  let line = `time=${quote(time)} level=${level} msg=${quote(message)}`
  for (const name of Object.keys(fields).sort()) line += ` ${key(name)}=${textValue(fields[name])}`
  return `${line}\n`
}

function key(name: string): string {
  return PLAIN.test(name) ? name : quote(name)
}

function textValue(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
  return PLAIN.test(text) ? text : quote(text)
}

/** One line whatever is in it: a client's text can neither begin a line of its own nor move the cursor of a terminal. */
function quote(text: string): string {
  if (HARMLESS.test(text)) return `"${text}"`
  return JSON.stringify(text).replace(
    CONTROL,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
