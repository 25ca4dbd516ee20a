import { expect, it } from 'vitest'
import { step } from './tableKeys'

it('moves within the list and never out of it', () => {
  expect(step('j', 3, 10)).toBe(4)
  expect(step('PageDown', 3, 10)).toBe(9)
  expect(step('PageUp', 3, 10)).toBe(0)
  expect(step('End', 3, 10)).toBe(9)
  expect(step('x', 3, 10)).toBeNull()
  expect(step('j', 0, 0)).toBeNull()
})
