import { expect, it } from 'vitest'
import type { RunLine } from './queries'
import { fits, isOver, lasted, LOOKS, STATUSES } from './statuses'

const run = (more: Partial<RunLine>) => ({ id: 1, status: 'running', project: 'demo', ...more }) as RunLine

it('tells how long a run has been running, or ran', () => {
  const began = '2026-01-02T03:00:00Z'
  const now = Date.parse('2026-01-02T03:00:09Z')
  expect(lasted(run({}), now)).toBeNull()
  expect(lasted(run({ started_at: began }), now)).toBe(9_000)
  expect(lasted(run({ started_at: began, finished_at: '2026-01-02T03:00:04Z' }), now)).toBe(4_000)
  // A browser's clock may be behind.
  expect(lasted(run({ started_at: began }), now - 60_000)).toBe(0)
})

it('knows which runs belong into a filtered list', () => {
  expect(fits(run({}), {})).toBe(true)
  expect(fits(run({}), { status: 'running', project: 'demo' })).toBe(true)
  expect(fits(run({}), { status: 'failed' })).toBe(false)
  expect(fits(run({}), { project: 'other' })).toBe(false)
})

it('shows every status, and what is over doesn’t spin', () => {
  for (const status of STATUSES) expect(LOOKS[status].isSpinning && isOver(status), status).toBeFalsy()
})
