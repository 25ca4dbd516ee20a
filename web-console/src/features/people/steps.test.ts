import { expect, it } from 'vitest'
import { steps } from './steps'

it('leaves the owner be, and lets only the owner hand over, to somebody who has signed in', () => {
  const person = { id: 1, email: 'a', login: 'ann', role: 'none' as const, active: true, created_at: '', signed_in_at: null, version: '' }
  expect(steps({ ...person, role: 'owner' }, true)).toEqual(['sign_out'])
  expect(steps(person, true)).toContain('hand_over')
  expect(steps(person, false)).not.toContain('hand_over')
  expect(steps({ ...person, login: null }, true)).not.toContain('hand_over')
  expect(steps({ ...person, active: false }, true)).toEqual(['let_in'])
  expect(steps({ ...person, role: 'admin' }, false)).toContain('unmake_admin')
})
