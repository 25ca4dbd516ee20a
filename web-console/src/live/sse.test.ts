import { expect, it } from 'vitest'
import { backoffMs, EventParser } from './sse'

const stream = ': hello\r\nretry: 1500\r\n\r\nid: 7\nevent: job\ndata: {"id":1,\ndata: "a":2}\n\ndata: plain\n\nevent: empty\n\n'

it('reads events however the stream is cut', () => {
  for (let size = 1; size <= stream.length; size++) {
    const parser = new EventParser()
    const events = []
    for (let at = 0; at < stream.length; at += size) events.push(...parser.push(stream.slice(at, at + size)))
    expect(events, `pieces of ${size}`).toEqual([
      { id: '7', event: 'job', data: '{"id":1,\n"a":2}' },
      { id: '7', event: 'message', data: 'plain' },
    ])
    expect(parser.retryMs).toBe(1500)
  }
})

it('waits longer after each failure, within bounds, and never all at once', () => {
  expect(backoffMs(0, 0)).toBe(250)
  expect(backoffMs(1, 1)).toBe(1_000)
  expect(backoffMs(40, 1)).toBe(30_000)
  expect(backoffMs(3, 0)).toBeLessThan(backoffMs(3, 1))
})
