import { expect, row, settled, test } from './console'
import { product } from './product'

test('filters stand in the address, survive a reload and the way back; counts follow them', async ({ as }) => {
  const page = await as('olga', '/jobs')
  const count = page.getByRole('status').filter({ hasText: /\d jobs?/ })
  const counted = async () => Number((await count.innerText()).replace(/\D/g, ''))
  await expect(count).toBeVisible()
  const all = await counted()
  await page.getByRole('combobox', { name: 'State' }).click()
  await page.getByRole('option', { name: 'Completed' }).click()
  await expect(page).toHaveURL(/state=completed/)
  await expect(page.getByRole('row').nth(1)).toContainText('Completed')
  await expect(page.getByText('Dead', { exact: true })).toHaveCount(0)
  await expect.poll(counted).toBeLessThan(all)
  await page.getByRole('searchbox', { name: 'Kind' }).fill('run.start')
  await expect(page).toHaveURL(/kind=run\.start/)
  await expect(page.getByRole('row').filter({ hasText: 'github.delivery' })).toHaveCount(0)
  await settled(page)
  const narrow = await counted()
  // What works behind the page may add to them meanwhile.
  const isNarrow = async () => narrow <= (await counted()) && (await counted()) < all
  await page.reload()
  await expect(page).toHaveURL(/state=completed/)
  await expect.poll(isNarrow).toBe(true)
  await expect(page.getByRole('searchbox', { name: 'Kind' })).toHaveValue('run.start')

  await page.getByRole('row').nth(1).getByRole('link').click()
  await expect(page.getByRole('heading', { level: 1, name: /^Job \d+/ })).toBeVisible()
  await page.goBack()
  await expect(page).toHaveURL(/state=completed.*kind=run\.start|kind=run\.start.*state=completed/)
  await expect.poll(isNarrow).toBe(true)
  await page.getByRole('button', { name: 'Clear' }).click()
  await expect(page).toHaveURL(/\/jobs$/)
})

test('a job is found by its arguments, and a list reads on as it is scrolled', async ({ as }) => {
  const job = await product.enqueue('needle', '--delay', '86400')
  const page = await as('olga', '/jobs')
  await page.getByRole('searchbox', { name: /^Arguments/ }).fill('marker=codex-k8s:e2e:needle')
  await expect(row(page, job)).toBeVisible()
  await expect(page.getByRole('row')).toHaveCount(2)

  await page.goto('/jobs')
  const grid = page.getByRole('grid', { name: 'Jobs' })
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  const pages: string[] = []
  page.on('request', (request) => {
    const url = new URL(request.url())
    if (url.pathname === '/api/v1/staff/jobs' && url.searchParams.has('before')) pages.push(url.searchParams.get('before') ?? '')
  })
  await page.getByRole('row').nth(1).focus()
  await expect.poll(async () => {
    await page.keyboard.press('End')
    return pages.length
  }).toBeGreaterThan(0)
  await expect(grid.locator('[data-index="110"]'), 'rows of the second page').toBeVisible()
  expect(await page.getByRole('row').count(), 'only what is seen is in the page').toBeLessThan(90)
})
