import { expect, it } from 'vitest'
import { readFilter } from './filters'

it('takes of the address what it knows, and only texts', () => {
  const query = { state: 'dead', queue: '', kind: ['a', 'b'], unknown: 'x', tag: null }
  expect(readFilter(query, ['state', 'queue', 'kind', 'tag'])).toEqual({ state: 'dead' })
})
