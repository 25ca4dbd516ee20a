import { expect, it } from 'vitest'
import { patchPages } from './patch'

interface Row {
  id: number
  state: string
}
const data = {
  pages: [{ items: [{ id: 9, state: 'a' }, { id: 8, state: 'a' }], next: 'x' }, { items: [{ id: 3, state: 'a' }] }],
  pageParams: [undefined, 'x'],
}
const ids = (patched: typeof data) => patched.pages.map((page) => page.items.map((row) => `${row.id}${row.state}`).join(' '))
const patch = (row: Row, belongs: boolean | null) => ids(patchPages(data, row, (row) => row.id, belongs) as typeof data)

it('changes a row where it stands', () => {
  expect(patch({ id: 3, state: 'b' }, true)).toEqual(['9a 8a', '3b'])
})

it('takes out what no longer belongs', () => {
  expect(patch({ id: 8, state: 'b' }, false)).toEqual(['9a', '3a'])
})

it('puts a new one first, and leaves alone what belongs further down or nowhere', () => {
  expect(patch({ id: 10, state: 'b' }, true)).toEqual(['10b 9a 8a', '3a'])
  expect(patch({ id: 5, state: 'b' }, true)).toEqual(['9a 8a', '3a'])
  expect(patch({ id: 10, state: 'b' }, null)).toEqual(['9a 8a', '3a'])
  expect(patch({ id: 8, state: 'b' }, null)).toEqual(['9a 8b', '3a'])
  expect(patch({ id: 10, state: 'b' }, false)).toEqual(['9a 8a', '3a'])
})
