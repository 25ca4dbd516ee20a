import { expect, test } from './console'
import { product } from './product'

interface RunLine {
  id: number
  issue: number
  repository: string
}

test('a run that ended badly is run again', async ({ as }) => {
  const { items: open } = await product.api<{ items: (RunLine & { status: string })[] }>('runs?limit=200')
  const isBusy = (run: RunLine) =>
    open.some((one) => one.repository === run.repository && one.issue === run.issue && !['succeeded', 'failed', 'canceled', 'timed_out'].includes(one.status))
  const run = open.find((one) => ['failed', 'canceled', 'timed_out'].includes(one.status) && one.repository.startsWith('acme/shop') && !isBusy(one))
    ?? open.find((one) => ['failed', 'canceled', 'timed_out'].includes(one.status) && !isBusy(one))
  const page = await as('adam', `/runs/${run?.id}`)
  await page.getByRole('button', { name: 'Run again' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Why').fill('a test')
  await dialog.getByRole('button', { name: 'Run again' }).click()
  await expect(page).not.toHaveURL(new RegExp(`/runs/${run?.id}$`))
  const id = Number(new URL(page.url()).pathname.split('/').at(-1))
  expect(await product.api(`runs/${id}`)).toMatchObject({ issue: run?.issue, requested_by: 'adam@example.com' })
  const { items } = await product.api<{ items: { reason: string | null; run_id: number | null }[] }>('audit?action=run.retried')
  expect(items[0]).toMatchObject({ reason: 'a test' })
  await product.api(`runs/${id}/cancel`, 'POST').catch(() => null)
})
