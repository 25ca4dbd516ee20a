import { beforeEach, expect, it, vi } from 'vitest'
import { Problem } from '@/api/problem'
import { bulkChange, bulkWish, carryOut, type BulkDone } from './bulk'

const sent: unknown[] = []
let answers: (Partial<BulkDone> | Problem)[] = []
vi.mock('@/api/client', () => ({
  api: { POST: async (_: string, { body }: { body: unknown }) => sent.push(body) },
  unwrap: async (asked: Promise<unknown>) => {
    await asked
    const answer = answers.shift()
    if (!answer || answer instanceof Problem) throw answer ?? new Error('nothing more was expected')
    return { done: 0, requested: 0, refused: [], stopped_before: null, ...answer }
  },
}))
beforeEach(() => {
  sent.length = 0
})

const away = new Problem(503, 'unavailable', 'Away', '', null)
const go = (wish = bulkWish({ action: 'retry' }, { filter: { state: 'dead' } })) => carryOut(wish, () => {}, new AbortController().signal)

it('says which jobs, and everything only when it is meant', () => {
  expect(bulkWish({ action: 'retry' }, { ids: [1, 2] }, 'why')).toEqual({ change: { action: 'retry' }, all: false, ids: [1, 2], reason: 'why' })
  expect(bulkWish({ action: 'retry' }, { filter: { state: 'dead', args: 'run_id=7' } })).toMatchObject({
    all: false,
    filter: { states: ['dead'], args: { run_id: 7 } },
  })
  expect(bulkWish({ action: 'retry' }, { filter: {} })).toMatchObject({ all: true })
  const mistyped = bulkWish({ action: 'delete' }, { filter: { state: 'dead', args: 'run_id' } })
  expect(mistyped.filter, 'a condition that can not be read is kept').toMatchObject({ args: 'run_id' })
})

it('takes a time as it was given', () => {
  expect(bulkChange('reschedule', 0, '')).toEqual({ action: 'reschedule', at: undefined })
  expect(bulkChange('priority', -3, '')).toEqual({ action: 'priority', priority: -3 })
})

it('goes on where it stopped, and adds up what was done and refused', async () => {
  answers = [
    { done: 1_000, refused: [{ reason: 'running', count: 2 }], stopped_before: 501 },
    { done: 400, requested: 3, refused: [{ reason: 'running', count: 1 }] },
  ]
  const progress = await go()
  expect(progress).toMatchObject({ done: 1_400, requested: 3, problem: null })
  expect(progress.refused).toEqual(new Map([['running', 3]]))
  expect(sent[1]).toMatchObject({ all: false, filter: { states: ['dead'], before: 501 } })
})

it('asks again when an answer is lost, and gives up when it stays away', async () => {
  answers = [away, { done: 5 }]
  expect(await go()).toMatchObject({ done: 5, problem: null })
  answers = [{ done: 7, stopped_before: 9 }, away, away, away, away]
  expect(await go()).toMatchObject({ done: 7, problem: away })
})

it('stops at what another try would not change, and when it is told to', async () => {
  const refused = new Problem(403, 'forbidden', 'No', '', null)
  answers = [refused]
  expect(await go()).toMatchObject({ done: 0, problem: refused })
  const stop = new AbortController()
  answers = [{ done: 3, stopped_before: 2 }]
  const stopped = await carryOut(bulkWish({ action: 'retry' }, { filter: {} }), () => stop.abort(), stop.signal)
  expect(stopped).toMatchObject({ done: 3, problem: null })
})
