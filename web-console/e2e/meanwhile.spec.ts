import { expect, test } from './console'
import { product } from './product'

interface Person {
  id: number
  email: string
}

test('limits that somebody else has set meanwhile are not overwritten, and the input is kept', async ({ as }) => {
  const page = await as('adam', '/queues')
  const row = page.getByRole('row').filter({ hasText: 'runs' }).first()
  await row.getByRole('button', { name: 'Limits of runs' }).click()
  const dialog = page.getByRole('dialog')
  const field = dialog.getByLabel('Jobs at once', { exact: true })
  await field.fill('11')
  const before = await product.api<object>('queues/runs/limits')
  await product.api('queues/runs/limits', 'PUT', { max_running: 5 })
  try {
    await dialog.getByRole('button', { name: 'Set limits' }).click()
    const alert = dialog.getByRole('alert')
    await expect(alert).toContainText('Somebody has changed it meanwhile')
    await expect(alert).toContainText('5 at once')
    await expect(field).toHaveValue('11')
    expect(await product.api('queues/runs/limits')).toMatchObject({ max_running: 5 })
    await dialog.getByRole('button', { name: 'Set limits' }).click()
    await expect(row.getByText('11 at once')).toBeVisible()
  } finally {
    await product.api('queues/runs/limits', 'PUT', { ...before, version: undefined })
  }
})

test('somebody who was made an admin meanwhile is not kept out unseen', async ({ as }) => {
  const { items } = await product.api<{ items: Person[] }>('users?limit=200')
  const rita = items.find((person) => person.email === 'rita@example.com')
  const page = await as('adam', '/people')
  await page.getByRole('row').filter({ hasText: 'rita@' }).getByRole('button', { name: 'What to do about rita@example.com' }).click()
  await page.getByRole('menuitem', { name: 'Keep out' }).click()
  await product.api(`users/${rita?.id}/role`, 'PUT', { role: 'admin' })
  try {
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('button', { name: 'Keep out' }).click()
    await expect(dialog.getByRole('alert')).toContainText('It is now: Platform admin')
    expect(await product.api(`users/${rita?.id}`)).toMatchObject({ active: true, role: 'admin' })
  } finally {
    await product.api(`users/${rita?.id}/role`, 'PUT', { role: 'none' })
  }
})
