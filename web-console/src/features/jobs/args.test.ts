import { expect, it } from 'vitest'
import { argsQuery, readArgs } from './args'
import { bulkChange, bulkWish } from './bulk'

it('reads what people type about arguments', () => {
  expect(readArgs('run_id=7')).toEqual({ run_id: 7 })
  expect(readArgs('run_id: 7, name="a b" open=true id=abc')).toEqual({ run_id: 7, name: 'a b', open: true, id: 'abc' })
  expect(readArgs('{"a": {"b": 1}}')).toEqual({ a: { b: 1 } })
  expect(readArgs('nothing')).toBeNull()
  expect(readArgs('{"a"')).toBeNull()
  expect(argsQuery('run_id=7')).toBe('{"run_id":7}')
  // The gateway says what is wrong with it.
  expect(argsQuery('nothing')).toBe('nothing')
})

it('asks for everything only where nothing else was said', () => {
  expect(bulkWish({ action: 'retry' }, { filter: {} })).toMatchObject({ all: true })
  expect(bulkWish({ action: 'retry' }, { filter: { state: 'dead', queue: 'runs', args: 'run_id=7' } }, 'why')).toEqual({
    change: { action: 'retry' },
    all: false,
    reason: 'why',
    filter: { states: ['dead'], queue: 'runs', args: { run_id: 7 } },
  })
  expect(bulkWish({ action: 'cancel' }, { ids: [1, 2] })).toMatchObject({ all: false, ids: [1, 2] })
  expect(bulkChange('priority', -3, '')).toEqual({ action: 'priority', priority: -3 })
})
