import { beforeAll, expect, it, vi } from 'vitest'

beforeAll(() => {
  vi.stubGlobal('localStorage', { getItem: () => 'en', setItem: () => {} })
  vi.stubGlobal('navigator', { languages: ['en'] })
  vi.stubGlobal('document', { documentElement: {}, hidden: true, createElement: () => ({}) })
})

it('says a reason with its facts, and what it does not know in the words of the gateway', async () => {
  const { sentence, remedy } = await import('./reasons')
  const behind = { code: 'behind', text: 'x', facts: { jobs: 1200, at_least: true, of_lane: false } }
  expect(sentence(behind)).toContain('Before it in line: 1,200')
  expect(sentence({ ...behind, facts: { ...behind.facts, of_lane: true } })).toContain('lane')
  const limit = { code: 'queue_limit', text: 'x', facts: { queue: 'runs', running: 16, max: 16, held_by: [{ worker: 'a', running: 16 }] } }
  expect(sentence(limit)).toContain('The queue runs runs 16 jobs of 16')
  expect(remedy(limit)).toBe('/queues')
  expect(sentence({ code: 'new_one', text: 'As the gateway says.', facts: null })).toBe('As the gateway says.')
  expect(remedy({ code: 'not_due' })).toBeNull()
})
