// What handlers of the management API answer, and the parts of the address that they work on.
import type { Manager } from '#access/management/management.ts'
import { Refusal } from '#access/management/refusal.ts'
import type { Answer } from '#http/api/route-table.ts'

export const gone: Answer = { status: 204 }

export function shown<T extends { readonly version: number }>(body: T, status: 200 | 201 = 200): Answer {
  return { status, body, version: body.version }
}

export function page({ items, next }: { items: readonly unknown[]; next: string | undefined }): Answer {
  return { status: 200, body: { items }, next }
}

/** @throws Refusal: an address without the part cannot come here */
export function named(parameters: Readonly<Record<string, string>>, name: string): string {
  const value = parameters[name]
  if (value === undefined) throw new Refusal('invalid', `the address names no ${name}`)
  return value
}

/** Of whoever manages. */
export function nameOf({ principal }: Manager): string {
  return principal.kind === 'user' ? principal.name : ''
}
