import { expect, test } from './console'
import { product } from './product'

interface Job {
  id: number
  kind: string
  state: string
}

async function deadJob(kind: string): Promise<Job> {
  const { items } = await product.api<{ items: Job[] }>('jobs?state=dead&limit=50')
  const found = items.find((job) => job.kind === kind)
  if (!found) throw new Error(`no dead ${kind}`)
  return found
}

test('a dead job is found, retried, and completes under the eyes of two people', async ({ as, browser }) => {
  const job = await deadJob('issue.comment')
  const page = await as('olga', '/jobs')
  await page.getByRole('link', { name: 'Jobs' }).first().click()
  await page.goto('/jobs?state=dead')
  const row = page.getByRole('row').filter({ hasText: String(job.id) })
  await expect(row).toBeVisible()

  const other = await (await browser.newContext({ locale: 'en-US' })).newPage()
  await other.goto(`${product.state.url}/jobs/${job.id}`)
  await other.getByRole('link', { name: 'Sign in' }).click()
  await other.getByRole('button', { name: /^adam\b/ }).click()
  await expect(other.getByText('Dead').first()).toBeVisible()

  await row.getByRole('link').first().click()
  await expect(page.getByRole('heading', { level: 1, name: `Job ${job.id}` })).toBeVisible()
  await expect(page.getByText(/github refused/).first()).toBeVisible()
  await page.getByRole('button', { name: 'Retry' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Retry' }).click()
  await expect(page.getByText('Completed').first()).toBeVisible()
  await expect(other.getByText('Completed').first()).toBeVisible()
  await other.context().close()
})

test('filters stand in the address and survive a reload', async ({ as }) => {
  const page = await as('olga', '/jobs?state=completed')
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  await expect(page.getByText('Dead', { exact: true })).toHaveCount(0)
  await page.reload()
  await expect(page).toHaveURL(/state=completed/)
  await expect(page.getByRole('row').nth(1)).toContainText('Completed')
})

test('a job that waits says why', async ({ as }) => {
  const { items } = await product.api<{ items: Job[] }>('jobs?state=ready&limit=50')
  const waiting = items.find((job) => job.kind === 'issue.comment')
  const page = await as('olga', `/jobs/${waiting?.id}`)
  await expect(page.getByText(/housekeeping/).first()).toBeVisible()
})

test('a change in the database is seen in less than a second', async ({ as }) => {
  const page = await as('olga', '/jobs')
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  await page.waitForTimeout(1_000)
  const { items } = await product.api<{ items: Job[] }>('jobs?limit=1')
  const began = Date.now()
  await product.label('acme/billing', 11, 'question')
  await expect(page.getByRole('row').filter({ hasText: String((items[0]?.id ?? 0) + 1) }).first()).toBeVisible({ timeout: 3_000 })
  expect(Date.now() - began).toBeLessThan(1_500)
})
