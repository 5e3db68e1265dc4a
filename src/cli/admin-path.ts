/** One part of a path of the management API: whatever somebody typed stays one part. */
export function part(text: string): string {
  return encodeURIComponent(text)
}
