// Colours, for a reader who has them.
import { styleText } from 'node:util'

export type Color = 'red' | 'green' | 'yellow' | 'cyan' | 'dim' | 'bold'
export type Paint = (color: Color, text: string) => string

export const plain: Paint = (_, text) => text

/** The stream is judged by the caller. */
export const colored: Paint = (color, text) => styleText(color, text, { validateStream: false })
