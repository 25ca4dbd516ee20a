import { readFileSync } from 'node:fs'
import { expect, test } from './console'
import { product } from './product'

test('a log of 100,000 lines opens in a second, is searched, linked to and taken home', async ({ as }) => {
  test.setTimeout(300_000)
  await product.label('Codertocat/Hello-World', 100, 'run:dev')
  const talkative = await product.run(({ issue, status }) => issue === 100 && status === 'succeeded', 120)
  const page = await as('olga', '/runs')
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  const began = Date.now()
  await page.getByRole('link', { name: String(talkative.id), exact: true }).first().click()
  await expect(page.getByText(/100,0\d\d lines/)).toBeVisible()
  await expect(page.getByText('row 100000 of 100000', { exact: false })).toBeVisible()
  const took = Date.now() - began
  test.info().annotations.push({ type: 'measure', description: `log of 100,000 lines open after ${took} ms` })
  console.log(`log of 100,000 lines open after ${took} ms`)
  expect(took).toBeLessThan(2_000)

  const search = page.getByRole('searchbox', { name: /Search the log/ })
  await search.fill('ROW 70000 of')
  await expect(page.getByText(/^1 of 1$/)).toBeVisible()
  await expect(page.locator('mark')).toHaveText('row 70000 of')
  await expect(page).toHaveURL(/#L7\d{4}$/)
  await search.fill('row 7777')
  await expect(page.getByText(/^1 of 11$/)).toBeVisible()
  await search.press('Enter')
  await expect(page.getByText(/^2 of 11$/)).toBeVisible()
  await search.press('Shift+Enter')
  await page.getByRole('button', { name: 'Previous match' }).click()
  await expect(page.getByText(/^11 of 11$/)).toBeVisible()
  await search.fill('no such words')
  await expect(page.getByText('Not found')).toBeVisible()
  await search.fill(':50000')
  await expect(page).toHaveURL(/#L50000$/)
  await expect(page.getByText('row 49992 of 100000', { exact: false })).toBeVisible()

  const download = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Download' }).click()
  const file = await download
  expect(file.suggestedFilename()).toBe(`run-${talkative.id}.log`)
  const lines = readFileSync(await file.path(), 'utf8').trimEnd().split('\n')
  expect(lines.length).toBeGreaterThan(100_000)
  expect(lines.at(-1)).toContain('row 100000 of 100000')

  // What somebody else gets when the link is sent to them; the run's pod is long gone by then.
  await page.goto(`/runs/${talkative.id}#L50000`)
  await expect(page.getByText('row 49992 of 100000', { exact: false })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Follow' })).toHaveAttribute('aria-pressed', 'false')
  await page.getByRole('button', { name: 'Follow' }).click()
  await expect(page.getByText('row 100000 of 100000', { exact: false })).toBeVisible()
  await expect(page).not.toHaveURL(/#/)
})

test('a log is followed line by line, and outlives its pod', async ({ as }) => {
  await product.label('acme/billing', 17, 'run:dev')
  const running = await product.run(({ issue, status, repository }) => issue === 17 && repository === 'acme/billing' && status === 'running')
  const page = await as('olga', `/runs/${running.id}`)
  const count = page.getByText(/^[\d,]+ lines$/)
  const lines = async () => Number((await count.innerText()).replace(/\D/g, ''))
  await expect(page.getByText('repository: acme/billing')).toBeVisible()
  const before = await lines()
  await expect.poll(lines, { timeout: 30_000 }).toBeGreaterThan(before)
  // Its namespace goes with the run.
  await product.api(`runs/${running.id}/cancel`, 'POST')
  await expect(page.getByText('Cancelled', { exact: true }).first()).toBeVisible()
  const kept = await lines()
  await page.reload()
  await expect(page.getByText('repository: acme/billing')).toBeVisible()
  await expect.poll(lines).toBeGreaterThanOrEqual(kept)
})
