import { expect, row, test } from './console'
import { product } from './product'

test('somebody is invited, made an admin, kept out, and all of it stands in the audit', async ({ as }) => {
  const who = 'nina@example.com'
  const page = await as('olga', '/people')
  const dialog = page.getByRole('dialog')
  await page.getByRole('button', { name: 'Invite' }).click()
  await dialog.getByLabel(/^E-mail/).fill(who)
  await dialog.getByRole('button', { name: 'Invite' }).click()
  await expect(row(page, who)).toContainText('Invited')
  const steps = [
    ['Make platform admin', 'Platform admin'],
    ['Take the admin role away', 'Member of projects'],
    ['Keep out', 'Kept out'],
    ['Let in again', 'Invited'],
  ] as const
  for (const [step, outcome] of steps) {
    await page.getByRole('button', { name: `What to do about ${who}` }).click()
    await page.getByRole('menuitem', { name: step }).click()
    await dialog.getByRole('button', { name: step }).click()
    await expect(dialog).toHaveCount(0)
    await expect(row(page, who)).toContainText(outcome)
  }
  await page.getByRole('button', { name: `What to do about ${who}` }).click()
  await page.getByRole('menuitem', { name: `What was changed about ${who}` }).click()
  await expect(page).toHaveURL(/\/audit\?subject=user-\d+/)
  const role = page.getByRole('row').filter({ hasText: 'role' })
  await role.first().getByRole('button').click()
  await expect(dialog.locator('del').first()).toBeVisible()
  await expect(dialog.locator('ins').first()).toBeVisible()
  await dialog.getByRole('button', { name: 'Close', exact: true }).last().click()
  await expect(role.first().getByRole('button'), 'the focus is where it was').toBeFocused()
  await page.getByRole('searchbox', { name: 'Actor' }).fill('nobody@example.com')
  await expect(page.getByText('Nothing was changed')).toBeVisible()
})

test('a personal token is made, shown once, used and revoked', async ({ as }) => {
  const page = await as('lea', '/account')
  const dialog = page.getByRole('dialog')
  await page.getByRole('button', { name: 'New token' }).click()
  await dialog.getByLabel(/^Name/).fill('e2e token')
  await dialog.getByRole('button', { name: 'New token' }).click()
  await expect(dialog.getByText('Copy it now: it is never shown again.')).toBeVisible()
  const token = (await dialog.locator('code').innerText()).trim()
  const ask = () => fetch(`${product.state.url}/api/v1/staff/me`, { headers: { authorization: `Bearer ${token}` } })
  expect((await ask()).status).toBe(200)
  await dialog.getByRole('button', { name: 'I have it' }).click()
  expect(await page.content()).not.toContain(token)
  await page.getByRole('button', { name: 'Revoke the token e2e token' }).click()
  await dialog.getByRole('button', { name: 'Revoke', exact: true }).click()
  await expect(page.getByText('e2e token', { exact: true })).toHaveCount(0)
  expect((await ask()).status).toBe(401)
})

test('another session of one’s own is ended from here', async ({ as, also }) => {
  const page = await as('rita', '/account')
  const other = await also('rita', '/jobs', { userAgent: 'A lost laptop' })
  await page.reload()
  await page.getByRole('button', { name: 'End the session of A lost laptop' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'End' }).click()
  await expect(page.getByText('A lost laptop')).toHaveCount(0)
  await other.getByRole('navigation').getByRole('link', { name: 'Runs' }).click()
  await expect(other.getByRole('link', { name: 'Sign in' })).toBeVisible()
})

test('settings and system show what runs, and no secret', async ({ as }) => {
  const page = await as('adam', '/settings')
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  for (const secret of [product.state.webhook_secret, product.state.staff_token, product.state.github.token]) {
    expect(await page.content()).not.toContain(secret)
  }
  await page.goto('/system')
  await expect(page.getByRole('row').filter({ hasText: /worker/i }).first()).toBeVisible()
  expect(await page.content()).not.toContain(product.state.database_url)
})
