/** The lines of a log that are in the page: any of them, by number; which to ask for so that a range is whole. */
import { shallowRef, triggerRef } from 'vue'
import type { LogLine } from './queries'

/** Lines asked for at a time. */
export const CHUNK = 500
/** Lines kept; those that are furthest from what is seen go first. */
const MOST = 20_000

export class LogLines {
  readonly #lines = new Map<number, string>()
  /** Changes with every line that comes. */
  readonly version = shallowRef({})
  readonly last = shallowRef(0)

  get(number: number): string | undefined {
    return this.#lines.get(number)
  }

  put(lines: readonly LogLine[], last: number, near: number): void {
    for (const line of lines) this.#lines.set(line.number, line.text)
    this.last.value = Math.max(this.last.value, last, lines.at(-1)?.number ?? 0)
    if (this.#lines.size > MOST) this.#forget(near)
    triggerRef(this.version)
  }

  /** The chunks that hold what is missing between these lines; each is named by the line before its first. */
  missing(first: number, end: number): number[] {
    const chunks = new Set<number>()
    for (let number = Math.max(1, first); number <= Math.min(end, this.last.value); number += 1) {
      if (!this.#lines.has(number)) chunks.add(Math.floor((number - 1) / CHUNK) * CHUNK)
    }
    return [...chunks]
  }

  #forget(near: number): void {
    for (const number of this.#lines.keys()) {
      if (Math.abs(number - near) > MOST / 4) this.#lines.delete(number)
    }
  }
}

// Colours and cursor moves of a terminal, and what else can't be seen.
const UNSEEN = /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[\u0000-\u0008\u000b-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** A line as it is shown. */
export function plain(text: string): string {
  return text.replace(UNSEEN, '')
}

/** A line in pieces, those that match marked. */
export function marked(text: string, search: string): { text: string; isMatch: boolean }[] {
  if (!search) return [{ text, isMatch: false }]
  const pieces: { text: string; isMatch: boolean }[] = []
  const [lower, wanted] = [text.toLowerCase(), search.toLowerCase()]
  let at = 0
  // Where lower case is longer or shorter, places don't agree: the line is shown without marks then.
  if (lower.length !== text.length) return [{ text, isMatch: false }]
  for (let found = lower.indexOf(wanted); found >= 0; found = lower.indexOf(wanted, at)) {
    if (found > at) pieces.push({ text: text.slice(at, found), isMatch: false })
    pieces.push({ text: text.slice(found, found + wanted.length), isMatch: true })
    at = found + wanted.length
  }
  if (at < text.length || pieces.length === 0) pieces.push({ text: text.slice(at), isMatch: false })
  return pieces
}

/** `#L120` is line 120. */
export function lineOf(hash: string): number | null {
  const found = /^#L(\d{1,12})$/.exec(hash)
  return found ? Number(found[1]) : null
}
