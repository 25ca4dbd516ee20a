import { expect, row, test } from './console'
import { product } from './product'

test('many are changed by filter: counted first, what could not be is said', async ({ as }) => {
  const tag = ['--tag', 'e2e-bulk'] as const
  const later = await Promise.all(['a', 'b', 'c'].map((name) => product.enqueue(`bulk ${name}`, '--delay', '86400', ...tag)))
  const over = await product.enqueue('bulk over', '--delay', '86400', ...tag)
  await product.queue('cancel', String(over))
  const page = await as('olga', '/jobs?tag=e2e-bulk')
  await expect(page.getByRole('status').filter({ hasText: '4 jobs' })).toBeVisible()
  await page.keyboard.press('b')
  const dialog = page.getByRole('dialog')
  await expect(dialog.getByText('All that match the filter')).toBeVisible()

  await dialog.getByLabel('What to do').click()
  await page.getByRole('option', { name: 'Reschedule' }).click()
  await dialog.getByLabel('Runs at').fill('2099-01-02T03:04')
  await expect(dialog.getByText('3 jobs will be changed.')).toBeVisible()
  // One of them is taken away between the count and the deed.
  await product.queue('cancel', String(later[0]))
  await dialog.getByRole('button', { name: 'Reschedule: 3 jobs' }).click()
  await expect(dialog.getByText('2 jobs done.')).toBeVisible()
  await dialog.getByRole('button', { name: 'Close', exact: true }).last().click()
  await expect(dialog).toHaveCount(0)
  await expect(row(page, later[0] ?? 0)).toContainText('Cancelled')

  // Those that are ticked, whatever their state: what can't be done is counted by its reason.
  await page.getByRole('checkbox', { name: 'Select all loaded rows' }).check()
  await page.getByRole('button', { name: '4 selected jobs' }).click()
  await dialog.getByLabel('What to do').click()
  await page.getByRole('option', { name: 'Cancel' }).click()
  const act = dialog.getByRole('button', { name: /^Cancel: / })
  await expect(act, 'it is dangerous').toBeDisabled()
  await dialog.getByLabel('Type “cancel” to go on').fill('cancel')
  await dialog.getByLabel(/^Why/).fill('the test is over')
  await act.click()
  await expect(dialog.getByText('2 jobs done.')).toBeVisible()
  await expect(dialog.getByText('Left as they were:')).toBeVisible()
  await expect(dialog.getByRole('listitem').filter({ hasText: /cancelled: 2|: 2$/ })).toBeVisible()
  await dialog.getByRole('button', { name: 'Close', exact: true }).last().click()
  await expect(page.getByRole('row').filter({ hasText: 'Cancelled' })).toHaveCount(4)

  const { items } = await product.api<{ items: { reason?: string; actor: string }[] }>('audit?limit=20')
  expect(items.some(({ reason, actor }) => reason === 'the test is over' && actor === 'olga@example.com')).toBe(true)
})

test('a hundred are deleted after a word is typed, and the progress is seen', async ({ as, page }) => {
  const began = encodeURIComponent(new Date().toISOString())
  await product.queue('pause', 'deliveries')
  try {
    await Promise.all(Array.from({ length: 120 }, () => product.tell('push', { ref: 'refs/heads/bulk' })))
    // The answer is held back, so that there is time to see what is shown until then.
    let release = () => {}
    const seen = new Promise<void>((done) => (release = done))
    await page.route('**/staff/jobs/bulk', async (route) => {
      const response = await route.fetch()
      await seen
      await route.fulfill({ response })
    })
    await as('olga', `/jobs?queue=deliveries&state=ready&created_after=${began}`)
    await expect(page.getByRole('status').filter({ hasText: '120 jobs' })).toBeVisible()
    await page.getByRole('button', { name: 'Change many' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('What to do').click()
    await page.getByRole('option', { name: 'Delete' }).click()
    const act = dialog.getByRole('button', { name: 'Delete: 120 jobs' })
    await expect(act).toBeDisabled()
    await dialog.getByLabel('Type “delete” to go on').fill('delete')
    await act.click()
    await expect(dialog.getByRole('progressbar', { name: 'Progress' })).toBeVisible()
    await expect(dialog.getByRole('button', { name: 'Stop here' })).toBeVisible()
    release()
    await expect(dialog.getByText('120 jobs done.')).toBeVisible()
    await dialog.getByRole('button', { name: 'Close', exact: true }).last().click()
    await expect(page.getByText('No jobs here')).toBeVisible()
  } finally {
    await product.queue('resume', 'deliveries')
  }
})
