import { beforeAll, expect, it, vi } from 'vitest'

beforeAll(() => {
  vi.stubGlobal('localStorage', { getItem: () => 'en', setItem: () => {} })
  vi.stubGlobal('navigator', { languages: ['en'] })
  vi.stubGlobal('document', { documentElement: {}, hidden: true, createElement: () => ({}) })
})

it('shows a size in the unit that people say', async () => {
  const { formatBytes } = await import('./bytes')
  expect([0, 999, 1_400_000, 12e9, 3e18].map(formatBytes)).toEqual(['0 byte', '999 byte', '1.4 MB', '12 GB', '3,000,000 TB'])
})
