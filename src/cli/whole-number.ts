import { InvalidArgumentError } from 'commander'

/** For an option that is a number of things, at least one. */
export function wholeNumber(max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= 1 && value <= max) return value
    throw new InvalidArgumentError(`write a whole number from 1 to ${max}`)
  }
}
