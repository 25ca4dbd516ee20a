import { expect, it } from 'vitest'
import { differences } from './diff'

it('shows what differs and nothing else', () => {
  expect(differences({ role: 'none', email: 'a' }, { role: 'admin', email: 'a' })).toEqual([
    { path: 'role', before: 'none', after: 'admin' },
  ])
  expect(differences(null, { limits: { rate: { jobs: 1 } } })).toEqual([{ path: 'limits.rate.jobs', before: null, after: '1' }])
  expect(differences({ tags: ['a'] }, { tags: null })).toEqual([{ path: 'tags', before: '["a"]', after: null }])
  expect(differences(undefined, undefined)).toEqual([])
})
