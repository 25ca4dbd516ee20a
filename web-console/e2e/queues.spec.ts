import { expect, test } from './console'
import { product } from './product'

test('a queue is paused and goes on again', async ({ as }) => {
  const page = await as('adam', '/queues')
  const row = page.getByRole('row').filter({ hasText: 'deliveries' }).first()
  await row.getByRole('button', { name: 'Pause deliveries' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel(/^Why/).fill('a test')
  await dialog.getByRole('button', { name: 'Pause', exact: true }).click()
  await expect(row.getByText('Paused')).toBeVisible()
  await row.getByRole('button', { name: 'Resume deliveries' }).click()
  await dialog.getByRole('button', { name: 'Resume', exact: true }).click()
  await expect(row.getByText('Open')).toBeVisible()
  const { items } = await product.api<{ items: { kind: string; actor: string | null }[] }>('audit?limit=50')
  expect(items.some(({ actor }) => actor === 'adam@example.com')).toBe(true)
})

test('limits are set and lifted', async ({ as }) => {
  const page = await as('adam', '/queues')
  const row = page.getByRole('row').filter({ hasText: 'deliveries' }).first()
  await row.getByRole('button', { name: 'Limits of deliveries' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Jobs at once', { exact: true }).fill('7')
  await dialog.getByRole('button', { name: 'Set limits' }).click()
  await expect(row.getByText('7 at once')).toBeVisible()
})

test('a schedule is run now', async ({ as }) => {
  const page = await as('adam', '/schedules/weekly-digest')
  await page.getByRole('button', { name: 'Run now' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Run now' }).click()
  await expect(page.getByText('a person').first()).toBeVisible()
})

test('a worker is drained, and another one takes its place', async ({ as }) => {
  const page = await as('adam', '/workers')
  const name = (await product.api<{ name: string; id: number }[]>('workers'))[0]
  await page.getByRole('button', { name: `Drain ${name?.name}` }).first().click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel(/^Why/).fill('a test')
  await dialog.getByRole('button', { name: 'Drain', exact: true }).click()
  await expect(dialog).toHaveCount(0)
  await expect
    .poll(async () => (await product.api<{ id: number; draining_at: string | null }[]>('workers')).some((one) => one.id !== name?.id && !one.draining_at), {
      timeout: 30_000,
    })
    .toBe(true)
  const { items } = await product.api<{ items: { action: string; reason: string | null; subject: string | null }[] }>('audit?action=worker.drain')
  expect(items[0]).toMatchObject({ reason: 'a test', subject: `worker ${name?.name}` })
})
