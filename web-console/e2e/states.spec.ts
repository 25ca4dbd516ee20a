import { expect, settled, test } from './console'
import { product } from './product'

test.describe('what goes wrong', () => {
  test.use({ tolerated: /status of 400/ })
  test('an error says what to tell, and another try mends it', async ({ as, page }) => {
    await as('olga', '/schedules')
    let isBroken = true
    await page.route('**/staff/runs?*', async (route) => {
      if (!isBroken) return route.fallback()
      await route.fulfill({
        status: 400,
        contentType: 'application/problem+json',
        json: { code: 'x', title: 'The lists are being sorted', detail: 'Ask again in a moment.', request_id: 'req-e2e-1' },
      })
    })
    await page.getByRole('navigation').getByRole('link', { name: 'Runs' }).click()
    const alert = page.getByRole('alert').filter({ hasText: 'being sorted' })
    await expect(alert).toContainText('Request req-e2e-1')
    await expect(alert.getByRole('button', { name: 'Copy the request id' })).toBeVisible()
    isBroken = false
    await alert.getByRole('button', { name: 'Try again' }).click()
    await expect(page.getByRole('row').nth(1)).toBeVisible()
    await expect(alert).toHaveCount(0)
  })
})

test('a list that is slow shows its shape, and nothing jumps', async ({ as, page }) => {
  await as('olga', '/schedules')
  let release = () => {}
  const seen = new Promise<void>((done) => (release = done))
  await page.route('**/staff/jobs?*', async (route) => {
    await seen
    await route.fallback()
  })
  await page.getByRole('navigation').getByRole('link', { name: 'Jobs' }).click()
  const grid = page.getByRole('grid', { name: 'Jobs' })
  await expect(grid).toHaveAttribute('aria-busy', 'true')
  const before = await grid.boundingBox()
  release()
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  expect(await grid.boundingBox()).toEqual(before)
})

test('empty lists say what comes next', async ({ as }) => {
  const page = await as('olga', '/runs?project=nothing-here')
  await expect(page.getByText('No runs here')).toBeVisible()
  await expect(page.getByText(/Set a label such as run:dev/)).toBeVisible()
  await page.getByRole('grid').getByRole('button', { name: 'Clear' }).click()
  await expect(page).toHaveURL(/\/runs$/)
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  await page.goto('/deliveries?event=nothing_such')
  await expect(page.getByText('No deliveries here')).toBeVisible()
})

test('theme and language follow the system until somebody chooses', async ({ as, page }) => {
  await page.emulateMedia({ colorScheme: 'dark' })
  await as('olga', '/jobs')
  const html = page.locator('html')
  await expect(html).toHaveClass(/dark/)
  await page.emulateMedia({ colorScheme: 'light' })
  await expect(html).not.toHaveClass(/dark/)
  await page.keyboard.press('Control+k')
  await page.getByRole('dialog').locator('input').fill('theme dark')
  await expect(page.getByRole('option')).toHaveCount(1)
  await page.keyboard.press('Enter')
  await expect(html).toHaveClass(/dark/)
  await page.reload()
  await expect(html).toHaveClass(/dark/)
  await page.getByRole('button', { name: /^Menu of/ }).click()
  await page.getByRole('menuitem', { name: 'Language' }).press('ArrowRight')
  await page.getByRole('menuitemcheckbox', { name: 'Русский' }).press('Enter')
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Задания')
  await expect(html).toHaveAttribute('lang', 'ru')
  await page.reload()
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Задания')
})

test('who wants little motion gets none', async ({ as, page }) => {
  await page.emulateMedia({ reducedMotion: 'reduce' })
  await as('olga', '/runs?status=running')
  await settled(page)
  await page.keyboard.press('?')
  await expect(page.getByRole('dialog')).toBeVisible()
  const moving = await page.evaluate(() =>
    document.getAnimations().map((one) => Number(one.effect?.getComputedTiming().duration ?? 0)).filter((ms) => ms > 1),
  )
  expect(moving).toEqual([])
})

test('what is shown is copied as a command line that works', async ({ as, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  const page = await as('olga', '/jobs?state=completed&kind=run.start')
  await settled(page)
  await page.getByRole('button', { name: 'Copy as curl' }).click()
  await expect(page.getByRole('button', { name: 'Copied' })).toBeVisible()
  const line = await page.evaluate(() => navigator.clipboard.readText())
  expect(line).toContain('Authorization: Bearer $CODEX_K8S_TOKEN')
  const url = /'(http[^']+)'$/.exec(line)?.[1] ?? ''
  const answer = await fetch(url, { headers: { authorization: `Bearer ${product.state.staff_token}` } })
  const { items } = (await answer.json()) as { items: { kind: string; state: string }[] }
  expect(items.length).toBeGreaterThan(0)
  expect(items.every(({ kind, state }) => kind === 'run.start' && state === 'completed')).toBe(true)
})
