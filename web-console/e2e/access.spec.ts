import { expect, test } from './console'
import { product } from './product'

interface Person {
  id: number
  email: string
}

test('whom nobody has invited stays outside', async ({ page }) => {
  await page.goto('/')
  await page.getByRole('link', { name: 'Sign in' }).click()
  const answer = page.waitForResponse((response) => response.url().includes('/auth/github/callback'))
  await page.getByRole('button', { name: /^eve\b/ }).click()
  expect((await answer).status()).toBe(403)
})

test('people see what they may', async ({ as }) => {
  const page = await as('rita', '/jobs')
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  await expect(page.getByText('acme/billing')).toHaveCount(0)
  await expect(page.getByRole('navigation').getByRole('link', { name: /Users|Audit|System/ })).toHaveCount(0)
})

test('a right that is taken away is gone while the page is open', async ({ as }) => {
  const { items } = await product.api<{ items: Person[] }>('users?limit=200')
  const walt = items.find((person) => person.email === 'walt@example.com')
  const page = await as('walt', '/jobs')
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  await product.api(`users/${walt?.id}/active`, 'PUT', { active: false })
  try {
    await page.goto('/jobs?state=dead')
    await expect(page.getByRole('link', { name: 'Sign in' })).toBeVisible()
  } finally {
    await product.api(`users/${walt?.id}/active`, 'PUT', { active: true })
  }
})

test('a program is logged in by its code, and only once', async ({ as }) => {
  const begun = await fetch(`${product.state.url}/api/v1/auth/device`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: '<img src=x onerror=alert(1)>', scopes: ['read'], days: 7 }),
  })
  const { user_code: code, device_code: device } = (await begun.json()) as { user_code: string; device_code: string }
  const page = await as('adam', '/device')
  await page.getByLabel('Code').fill(code.toLowerCase())
  await page.getByRole('button', { name: 'Look' }).click()
  await expect(page.getByText('<img src=x onerror=alert(1)>')).toBeVisible()
  await expect(page.getByText(/Confirm only if you started/)).toBeVisible()
  await page.getByRole('button', { name: 'Confirm, it is mine' }).click()
  await expect(page.getByText('The program is logged in')).toBeVisible()
  const collect = () =>
    fetch(`${product.state.url}/api/v1/auth/device/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ device_code: device }),
    })
  expect(((await (await collect()).json()) as { owner: string }).owner).toBe('adam@example.com')
  expect((await collect()).status).toBe(400)
  await page.goto(`/device?code=${code}`)
  await expect(page.getByRole('alert')).toContainText('mistyped, used or too old')
})
