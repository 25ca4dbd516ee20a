import { expect, it } from 'vitest'
import { match, type Shortcut } from './shortcuts'

const known = ['?', 'j', 'g j', 'g r'].map((keys): Shortcut => ({ keys, text: 'shell.go', act: () => {} }))
const press = (key: string, now: number) => match(key, now, known)?.keys ?? null

it('knows single keys and two after each other', () => {
  expect(press('?', 0)).toBe('?')
  expect(press('j', 0)).toBe('j')
  expect(press('g', 0)).toBeNull()
  expect(press('j', 500)).toBe('g j')
  expect(press('j', 600)).toBe('j')
})

it('forgets the first key after a while or another key', () => {
  expect(press('g', 0)).toBeNull()
  expect(press('j', 5_000)).toBe('j')
  expect(press('g', 6_000)).toBeNull()
  expect(press('x', 6_100)).toBeNull()
  expect(press('r', 6_200)).toBeNull()
})
