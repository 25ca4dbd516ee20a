import { expect, test } from './console'
import { product, until } from './product'

interface Run {
  id: number
  issue: number
  status: string
  repository: string
}

async function run(wanted: (run: Run) => boolean, seconds = 40): Promise<Run> {
  return await until('such a run', seconds, async () => {
    const { items } = await product.api<{ items: Run[] }>('runs?limit=100')
    return items.find(wanted)
  })
}

test('a newcomer follows a delivery to its job, run, log and comment by clicking', async ({ as }) => {
  const delivery = await product.label('acme/billing', 14, 'run:dev')
  await run(({ issue, status }) => issue === 14 && status === 'succeeded')
  const page = await as('olga', '/')
  await page.getByRole('navigation').getByRole('link', { name: 'Deliveries' }).click()
  const row = page.getByRole('row').filter({ hasText: delivery.slice(0, 8) })
  await row.getByRole('link').first().click()
  await expect(page).toHaveURL(new RegExp(`/deliveries/${delivery}`))
  await page.getByRole('link', { name: /^Job \d+|jobs$/ }).first().click()
  await expect(page).toHaveURL(/\/jobs/)
  await page.goBack()
  await page.getByRole('link', { name: /^Run \d+/ }).first().click()
  await expect(page).toHaveURL(/\/runs\/\d+/)
  await expect(page.getByText('repository: acme/billing')).toBeVisible()
  const comment = page.getByRole('link', { name: /Status comment/ })
  await expect(comment).toHaveAttribute('href', /\/acme\/billing\/issues\/14#issuecomment-\d+$/)
  const site = page.context().waitForEvent('page')
  await comment.click()
  await expect((await site).getByText('Succeeded', { exact: false }).first()).toBeVisible()
})

test('a running run is cancelled, and another person sees it at once', async ({ as, browser }) => {
  await product.label('acme/billing', 27, 'run:dev')
  const running = await run(({ issue, status, repository }) => issue === 27 && repository === 'acme/billing' && status === 'running')
  const page = await as('olga', `/runs/${running.id}`)
  const other = await (await browser.newContext({ locale: 'en-US' })).newPage()
  await other.goto(`${product.state.url}/runs/${running.id}`)
  await other.getByRole('link', { name: 'Sign in' }).click()
  await other.getByRole('button', { name: /^adam\b/ }).click()
  await expect(other.getByText('Running', { exact: true }).first()).toBeVisible()
  await page.getByRole('button', { name: 'Cancel run' }).click()
  await page.getByRole('dialog').getByLabel('Why').fill('Not needed any more')
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel run' }).click()
  await expect(page.getByText('Canceled', { exact: true }).first()).toBeVisible()
  await expect(other.getByText('Canceled', { exact: true }).first()).toBeVisible()
  await other.context().close()
})

test('a log of 100,000 lines opens in a second, is searched and linked to', async ({ as }) => {
  test.setTimeout(120_000)
  await product.label('Codertocat/Hello-World', 100, 'run:dev')
  const talkative = await run(({ issue, status }) => issue === 100 && status === 'succeeded', 90)
  const page = await as('olga', '/runs')
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  const began = Date.now()
  await page.getByRole('link', { name: String(talkative.id), exact: true }).first().click()
  await expect(page.getByText(/100,0\d\d lines/)).toBeVisible()
  await expect(page.getByText(/row \d+ of 100000|repository: Codertocat/).first()).toBeVisible()
  const took = Date.now() - began
  test.info().annotations.push({ type: 'measure', description: `log of 100,000 lines open after ${took} ms` })
  console.log(`log of 100,000 lines open after ${took} ms`)
  expect(took).toBeLessThan(2_000)
  await page.goto(`/runs/${talkative.id}#L50000`)
  await expect(page.getByText('row 49992 of 100000', { exact: false })).toBeVisible()
})

test('a delivery is replayed, dry run first', async ({ as }) => {
  const { items } = await product.api<{ items: { id: string; event: string }[] }>('deliveries?limit=50')
  const push = items.find(({ event }) => event === 'push')
  const page = await as('olga', `/deliveries/${push?.id}`)
  await page.getByRole('button', { name: 'Replay' }).click()
  const dialog = page.getByRole('dialog')
  await expect(dialog.getByText(/Dry run/)).toBeVisible()
  await dialog.getByRole('button', { name: 'Replay' }).click()
  await expect(page.getByText(/Replayed: job \d+/).first()).toBeVisible()
})
