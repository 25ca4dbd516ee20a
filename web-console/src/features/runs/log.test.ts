import { describe, expect, it } from 'vitest'
import { CHUNK, lineOf, LogLines, marked, plain } from './log'

const line = (number: number) => ({ number, text: `line ${number}` })
const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, index) => line(first + index))

describe('LogLines', () => {
  it('asks for the chunks of what is missing', () => {
    const lines = new LogLines()
    expect(lines.missing(1, 100)).toEqual([])
    lines.put(range(9_801, 10_000), 10_000, 10_000)
    expect(lines.last.value).toBe(10_000)
    expect(lines.missing(9_801, 10_000)).toEqual([])
    expect(lines.missing(9_700, 9_900)).toEqual([9_500])
    expect(lines.missing(400, 600)).toEqual([0, CHUNK])
    lines.put(range(10_001, 10_003), 0, 10_000)
    expect(lines.get(10_003)).toBe('line 10003')
    expect(lines.last.value).toBe(10_003)
  })

  it('forgets what is far from what is seen', () => {
    const lines = new LogLines()
    for (let first = 1; first <= 30_000; first += 1_000) lines.put(range(first, first + 999), 30_000, first)
    expect(lines.get(1)).toBeUndefined()
    expect(lines.get(29_999)).toBe('line 29999')
  })
})

describe('a line', () => {
  it('is shown without what a terminal would do', () => {
    expect(plain('\u001b[31mred\u001b[0m \u001b]0;title\u0007ok\u202e\r')).toBe('red ok')
    expect(plain('a\tb <b>')).toBe('a\tb <b>')
  })

  it('has its matches marked', () => {
    expect(marked('An error, ERROR', 'error').map(({ isMatch }) => isMatch)).toEqual([false, true, false, true])
    expect(marked('nothing', 'error')).toEqual([{ text: 'nothing', isMatch: false }])
    expect(marked('', '')).toEqual([{ text: '', isMatch: false }])
  })

  it('has an address', () => {
    expect(lineOf('#L120')).toBe(120)
    expect(lineOf('#log')).toBeNull()
  })
})
