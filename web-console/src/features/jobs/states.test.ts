import { expect, it } from 'vitest'
import { ACTIONS, fits, isAllowed, STATES } from './states'

it('offers something in every state, and never to delete what runs', () => {
  for (const state of STATES) expect(ACTIONS.some((action) => isAllowed(action, state)), state).toBe(true)
  expect(isAllowed('delete', 'running')).toBe(false)
  expect(isAllowed('cancel', 'running')).toBe(true)
  expect(isAllowed('retry', 'completed')).toBe(false)
})

it('tells whether a changed job belongs into a filtered list', () => {
  const job = { id: 1, state: 'dead', queue: 'runs', tags: ['a'], created_at: '2026-01-02T00:00:00Z', last_error: 'It Broke' }
  expect(fits(job, {})).toBe(true)
  expect(fits(job, { state: 'dead', queue: 'runs', tag: 'a', error: 'broke' })).toBe(true)
  expect(fits(job, { state: 'ready' })).toBe(false)
  expect(fits(job, { tag: 'b' })).toBe(false)
  expect(fits(job, { created_after: '2026-01-03T00:00:00Z' })).toBe(false)
  // Its line doesn't tell.
  expect(fits(job, { unique_key: 'x' })).toBeNull()
  expect(fits(job, { unique_key: 'x', state: 'ready' })).toBe(false)
})
