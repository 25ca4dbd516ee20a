import { afterAll, beforeAll, expect, it, vi } from 'vitest'

beforeAll(() => {
  vi.stubGlobal('localStorage', { getItem: () => 'ru', setItem: () => {} })
  vi.stubGlobal('navigator', { languages: ['en-GB'] })
  vi.stubGlobal('document', { documentElement: {}, hidden: true, createElement: () => ({}) })
})
afterAll(() => vi.unstubAllGlobals())

it('speaks Russian and English of times and numbers', async () => {
  const { i18n, setLocale, text } = await import('./i18n')
  const { formatBrief, formatDuration, formatRelative } = await import('./format')
  const now = Date.parse('2026-01-01T00:00:00Z')
  const plain = (shown: string) => shown.replaceAll(/[\u00a0\u202f]/g, ' ')
  expect(i18n.global.locale.value).toBe('ru')
  expect(plain(formatRelative('2025-12-31T23:59:52Z', now))).toMatch(/^8 с(ек)? назад$/)
  expect([1, 2, 5, 11, 21].map((count) => text('jobs.count', { count, shown: count }))).toEqual([
    '1 задание', '2 задания', '5 заданий', '11 заданий', '21 задание',
  ])
  setLocale('en')
  expect(formatRelative('2025-12-31T23:59:52Z', now)).toBe('8s ago')
  expect(formatRelative('2026-01-01T00:00:00.4Z', now)).toBe('0s ago')
  expect(formatRelative('2026-01-01T02:00:00Z', now)).toBe('in 2h')
  expect([850, 12_430, 200_000, 7_500_000, 273_600_000].map(formatDuration)).toEqual(['850ms', '12.4s', '3m 20s', '2h 5m', '3d 4h'])
  expect(formatBrief(200_000)).toBe('3.3m')
  expect([1, 2].map((count) => text('jobs.count', { count, shown: count }))).toEqual(['1 job', '2 jobs'])
})

it('has the same texts in both languages', async () => {
  const { i18n } = await import('./i18n')
  const keys = (texts: object, path = ''): string[] =>
    Object.entries(texts).flatMap(([key, value]) => (typeof value === 'object' ? keys(value as object, `${path}${key}.`) : [`${path}${key}`]))
  const { en, ru } = i18n.global.messages.value
  expect(keys(ru).sort()).toEqual(keys(en).sort())
})
