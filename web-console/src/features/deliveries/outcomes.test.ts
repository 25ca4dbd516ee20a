import { beforeAll, expect, it, vi } from 'vitest'

beforeAll(() => {
  vi.stubGlobal('localStorage', { getItem: () => 'en', setItem: () => {} })
  vi.stubGlobal('navigator', { languages: ['en'] })
  vi.stubGlobal('document', { documentElement: {}, hidden: true, createElement: () => ({}) })
})

it('says what came of it, and a newer code as it is', async () => {
  const { outcome } = await import('./outcomes')
  expect(outcome('labeled_by_bot')).toBe('Labelled by a bot')
  expect(outcome('something_new')).toBe('something_new')
})
