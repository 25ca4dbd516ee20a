/** Text of an event stream, chunk by chunk, into events (WHATWG HTML, 9.2.6). */
export interface StreamEvent {
  id: string | null
  event: string
  data: string
}

export class EventParser {
  #rest = ''
  #data: string[] = []
  #event = ''
  #id: string | null = null
  /** What the server wishes to be waited before the next connection, in ms. */
  retryMs: number | null = null

  /** The events that this chunk completes. */
  push(chunk: string): StreamEvent[] {
    const text = this.#rest + chunk
    // A CR at the end may be the first half of a CRLF.
    const held = text.endsWith('\r') ? 1 : 0
    const lines = text.slice(0, text.length - held).split(/\r\n|\n|\r/)
    this.#rest = (lines.pop() ?? '') + text.slice(text.length - held)
    return lines.flatMap((line) => this.#line(line) ?? [])
  }

  #line(line: string): StreamEvent | null {
    if (line === '') return this.#dispatch()
    const colon = line.indexOf(':')
    if (colon === 0) return null
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') this.#data.push(value)
    else if (field === 'event') this.#event = value
    else if (field === 'id' && !value.includes('\0')) this.#id = value
    else if (field === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value)
    return null
  }

  #dispatch(): StreamEvent | null {
    const event = { id: this.#id, event: this.#event || 'message', data: this.#data.join('\n') }
    const empty = this.#data.length === 0
    this.#data = []
    this.#event = ''
    return empty ? null : event
  }
}

/** How long to wait before the nth try, in ms: doubling up to half a minute, spread so that no herd comes at once. */
export function backoffMs(tries: number, random = Math.random()): number {
  const most = Math.min(30_000, 500 * 2 ** Math.min(tries, 10))
  return Math.round(most * (0.5 + random / 2))
}
