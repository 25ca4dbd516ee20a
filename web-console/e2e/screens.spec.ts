import { mkdirSync } from 'node:fs'
import type { Page } from '@playwright/test'
import { expect, settled, test, violations } from './console'
import { product } from './product'

const SHOTS = 'dist/e2e/screens'

/** Every screen: the places of the sidebar, and one of everything that has a page of its own. */
async function screens(page: Page): Promise<string[]> {
  const links = page.getByRole('navigation').getByRole('link')
  await expect(links.first()).toBeVisible()
  const hrefs = await links.evaluateAll((all) => all.map((link) => new URL((link as HTMLAnchorElement).href).pathname))
  const first = async (path: string, member: string) => {
    const { items } = await product.api<{ items: Record<string, string | number>[] }>(path)
    return items[0]?.[member]
  }
  const details = [
    `/jobs/${await first('jobs?state=dead&limit=1', 'id')}`,
    `/jobs/${await first('jobs?limit=1', 'id')}`,
    '/device',
  ]
  const known: [string, string][] = [
    ['/runs', `/runs/${await first('runs?status=failed&limit=1', 'id')}`],
    ['/deliveries', `/deliveries/${await first('deliveries?limit=1', 'id')}`],
    ['/schedules', '/schedules/triage-reminder'],
    ['/projects', '/projects/demo'],
    ['/repositories', `/repositories/${await first('repositories?limit=1', 'id')}`],
  ]
  for (const [list, detail] of known) if (hrefs.includes(list)) details.push(detail)
  return [...new Set(['/', ...hrefs, ...details])]
}

/** Each language in one theme, and each theme in one language. */
for (const [theme, locale, letters] of [['light', 'en-US', /[A-z]/], ['dark', 'ru-RU', /[А-я]/]] as const) {
  test(`every screen is sound for everybody, ${theme}, ${locale}`, async ({ also }) => {
    test.setTimeout(180_000)
    const page = await also('olga', '/jobs', { locale, colorScheme: theme, reducedMotion: 'reduce' })
    await expect(page.locator('html')).toHaveAttribute('lang', locale.slice(0, 2))
    mkdirSync(SHOTS, { recursive: true })
    const wrong: string[] = []
    for (const path of await screens(page)) {
      await page.goto(path)
      await settled(page)
      await expect(page).toHaveTitle(letters)
      const name = path.replace(/^\/$/, 'home').replace(/^\//, '').replaceAll('/', '-')
      await page.screenshot({ path: `${SHOTS}/${name}.${theme}.png` })
      for (const violation of await violations(page)) wrong.push(`${path}: ${violation}`)
      await expect(page.getByRole('alert')).toHaveCount(0)
    }
    expect(wrong).toEqual([])
  })
}
