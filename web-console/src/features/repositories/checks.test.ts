import { expect, it } from 'vitest'
import { together, type CheckState } from './checks'

it('says the worst of all checks', () => {
  const of = (...states: CheckState[]) =>
    together({
      preflight: {
        at: '2026-01-01T00:00:00Z',
        checks: states.map((state) => ({ name: 'token', state, text: '' })),
        missing_labels: [],
      },
    })
  expect(of('ok', 'ok')).toBe('ok')
  expect(of('ok', 'warning', 'unknown')).toBe('warning')
  expect(of('unknown', 'failed', 'ok')).toBe('failed')
  expect(together({ preflight: null })).toBe(null)
})
