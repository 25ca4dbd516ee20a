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
  ]
  for (const [list, detail] of known) if (hrefs.includes(list)) details.push(detail)
  return [...new Set(['/', ...hrefs, ...details])]
}

for (const theme of ['light', 'dark'] as const) {
  test(`every screen is sound for everybody, ${theme}`, async ({ as, page }) => {
    test.setTimeout(120_000)
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
    await as('olga', '/jobs')
    mkdirSync(SHOTS, { recursive: true })
    const wrong: string[] = []
    for (const path of await screens(page)) {
      await page.goto(path)
      await settled(page)
      const name = path.replace(/^\/$/, 'home').replace(/^\//, '').replaceAll('/', '-')
      await page.screenshot({ path: `${SHOTS}/${name}.${theme}.png` })
      for (const violation of await violations(page)) wrong.push(`${path}: ${violation}`)
      await expect(page.getByRole('alert')).toHaveCount(0)
    }
    expect(wrong).toEqual([])
  })
}

test('in Russian nothing stays English by mistake', async ({ browser }) => {
  const context = await browser.newContext({ locale: 'ru-RU' })
  const page = await context.newPage()
  await page.goto(`${product.state.url}/jobs`)
  await page.getByRole('link', { name: /Войти/ }).click()
  await page.getByRole('button', { name: /^olga\b/ }).click()
  await expect(page.locator('html')).toHaveAttribute('lang', 'ru')
  await expect(page.locator('h1')).toHaveText(/[А-я]/)
  await context.close()
})
